// SPDX-License-Identifier: Apache-2.0

/// The look of every page that a program of this package writes.
package enum PageStyle {
    /// The one style sheet: light and dark, wide and narrow.
    package static let style = """
        :root { color-scheme: light dark; --text: #1d2328; --soft: #57616a; --line: #d9dee2; --back: #fbfcfc; --card: #fff; --tint: #f1f4f5; --loss: #b3261e; --loss-back: #fbe9e7; --fine: #0b6b57; --fine-back: #e6f4ef; --wary: #8a5a00; --wary-back: #fdf3dd; --backend: #2f6fde; --mapping: #c27a0e; --client: #8250c4; --synchronization: #12876a; --part-a: #9aa7b1; --part-b: #5f8fb0; --part-c: #2d6a8f; --part-d: #d0603c }
        @media (prefers-color-scheme: dark) { :root { --text: #e6eaed; --soft: #9aa5ae; --line: #333b42; --back: #121518; --card: #1a1f23; --tint: #20262b; --loss: #ff9b8f; --loss-back: #3d1d1a; --fine: #63cfae; --fine-back: #15302a; --wary: #eabf66; --wary-back: #362b12; --backend: #6c9df2; --mapping: #e0a64a; --client: #b08be8; --synchronization: #46b897; --part-a: #68757f; --part-b: #6fa3c7; --part-c: #4a8fbb; --part-d: #e5835f } }
        * { box-sizing: border-box }
        body { margin: 0 auto; max-width: 76rem; padding: 0 1.25rem 3rem; background: var(--back); color: var(--text); font: 1rem/1.55 system-ui, sans-serif; overflow-wrap: anywhere }
        header { padding: 2.5rem 0 .5rem } h1 { font-size: clamp(1.7rem, 4.5vw, 2.5rem); line-height: 1.15; margin: 0 0 .6rem; letter-spacing: -.015em }
        header p { color: var(--soft); max-width: 46rem; margin: 0 } h2 { font-size: 1.35rem; margin: 2.75rem 0 .4rem; letter-spacing: -.01em } h3 { font-size: 1rem; margin: 0 }
        h2 + p { margin: 0 0 1rem; color: var(--soft); max-width: 50rem }
        .short { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 15rem), 1fr)); gap: 1rem; margin: 1.75rem 0 0; padding: 0; list-style: none }
        .short li { background: var(--card); border: 1px solid var(--line); border-radius: .7rem; padding: 1rem 1.1rem } .short b { display: block; font-size: 1.65rem; line-height: 1.2; letter-spacing: -.02em } .short span { color: var(--soft); font-size: .92rem }
        .plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 21rem), 1fr)); gap: 1rem } .times { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 30rem), 1fr)); gap: 1rem }
        .card { margin: 0; background: var(--card); border: 1px solid var(--line); border-radius: .7rem; padding: 1rem 1.1rem } figcaption p { margin: .1rem 0 .6rem; color: var(--soft); font-size: .87rem; line-height: 1.4 }
        svg { display: block; width: 100%; height: auto; font-family: system-ui, sans-serif } svg text { fill: var(--text); font-size: 12.5px } svg .value { font-variant-numeric: tabular-nums; font-weight: 600 } svg .tick { fill: var(--soft); font-size: 11px } svg .event-label { font-size: 11px; font-weight: 600 }
        .grid { stroke: var(--line); stroke-width: 1 } .border { stroke: var(--soft); stroke-width: 1; stroke-dasharray: 1 3 } .event { stroke: var(--text); stroke-width: 1.2; stroke-dasharray: 3 2 }
        .backend { fill: var(--backend); background: var(--backend) } .mapping { fill: var(--mapping); background: var(--mapping) } .client { fill: var(--client); background: var(--client) } .synchronization { fill: var(--synchronization); background: var(--synchronization) }
        .part-client { fill: var(--part-a); background: var(--part-a) } .part-balancer { fill: var(--part-b); background: var(--part-b) } .part-instances { fill: var(--part-c); background: var(--part-c) } .part-redis { fill: var(--part-d); background: var(--part-d) }
        .refused { fill: var(--mapping); background: var(--mapping) } .failed { fill: var(--loss); background: var(--loss) }
        .legend { display: flex; flex-wrap: wrap; gap: .15rem 1rem; margin: 0 0 .5rem; font-size: .84rem; color: var(--soft) } .legend i, .dot { display: inline-block; width: .7rem; height: .7rem; border-radius: .2rem; margin-right: .4rem }
        .scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: .7rem; background: var(--card) } table { border-collapse: collapse; width: 100%; font-size: .92rem; font-variant-numeric: tabular-nums }
        th, td { text-align: left; vertical-align: top; padding: .55rem .8rem; border-bottom: 1px solid var(--line) } tbody tr:last-child > * { border-bottom: 0 } thead th { background: var(--tint); font-size: .82rem; line-height: 1.3; vertical-align: bottom; color: var(--soft) }
        tbody th { white-space: nowrap; font-weight: 600; overflow-wrap: normal } td { overflow-wrap: normal } .numbers td { text-align: right; white-space: nowrap } .numbers thead th:not(:first-child) { text-align: right } .verdicts td { min-width: 6.5rem } .texts td { min-width: 16rem }
        .loss { color: var(--loss); background: var(--loss-back); font-weight: 600 } .fine { color: var(--fine); background: var(--fine-back) } .wary { color: var(--wary); background: var(--wary-back) } td small { display: block; font-weight: 400; color: inherit; opacity: .85; line-height: 1.35 }
        .warning { margin: 1.5rem 0 0; padding: .8rem 1.1rem; border-left: 4px solid var(--loss); background: var(--loss-back); border-radius: 0 .5rem .5rem 0 }
        dl { display: grid; grid-template-columns: minmax(7rem, auto) 1fr; gap: .3rem 1.25rem; margin: 0 } dt { color: var(--soft) } dd { margin: 0 } .method li { margin: .35rem 0; max-width: 52rem } details { margin-top: 1rem } summary { cursor: pointer; color: var(--soft) }
        @media (max-width: 34rem) { body { padding: 0 .8rem 2rem } .verdicts, .verdicts tbody, .verdicts tr, .verdicts th { display: block } .verdicts thead { display: none } .verdicts tr { border-bottom: 1px solid var(--line) } .verdicts td { display: grid; grid-template-columns: 6.5rem 1fr; gap: 0 .75rem } .verdicts td::before { content: attr(data-head); grid-row: span 2; font-weight: 400; font-size: .85rem; color: var(--soft) } th, td { padding: .5rem .6rem } .texts, .texts tbody, .texts tr, .texts td, .texts th { display: block; border-bottom: 0 } .texts thead { display: none } .texts tr { border-bottom: 1px solid var(--line); padding: .4rem 0 } .texts td { padding-top: .1rem } }
        """
}
