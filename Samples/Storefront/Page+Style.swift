// SPDX-License-Identifier: Apache-2.0

extension Page {
    /// The one style sheet.
    static let style = """
        :root { color-scheme: light dark; --text: #1d2328; --soft: #57616a; --line: #d9dee2; --back: #fff; --tint: #f4f6f7; --accent: #0b6b57; --on: #fff }
        @media (prefers-color-scheme: dark) { :root { --text: #e6eaed; --soft: #9aa5ae; --line: #343c43; --back: #15191c; --tint: #1d2327; --accent: #4fc3a5; --on: #10201b } }
        * { box-sizing: border-box }
        body { margin: 0 auto; max-width: 68rem; padding: 0 1.25rem; background: var(--back); color: var(--text); font: 1rem/1.5 system-ui, sans-serif }
        header, nav, .total, .lines li, .devices li { display: flex; align-items: center; gap: .5rem 1rem; flex-wrap: wrap }
        header { justify-content: space-between; padding: 1rem 0; border-bottom: 1px solid var(--line) }
        .brand { font-size: 1.2rem; font-weight: 700; color: inherit; text-decoration: none }
        a { color: var(--accent) }
        main { display: flex; flex-wrap: wrap; gap: 2rem; align-items: flex-start; padding: 1.5rem 0 }
        main > section { flex: 3 1 30rem; min-width: 0 } main > aside { flex: 1 1 17rem; background: var(--tint); border-radius: .6rem; padding: 1.25rem }
        h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 1rem } h2 { font-size: 1.1rem; margin: 0 0 .75rem } h3 { font-size: 1rem; margin: 0 }
        aside h2:not(:first-child) { margin-top: 1.75rem }
        .count { display: inline-block; min-width: 1.6em; padding: 0 .4em; border-radius: 1em; background: var(--accent); color: var(--on); font-size: .85em; text-align: center }
        ul { list-style: none; margin: 0; padding: 0 }
        .products { display: grid; grid-template-columns: repeat(auto-fill, minmax(13rem, 1fr)); gap: 1rem }
        .products li { display: flex; flex-direction: column; border: 1px solid var(--line); border-radius: .6rem; padding: 1rem }
        .products form { margin-top: auto } .products p { margin: 0 0 .5rem; color: var(--soft) } .products .price { color: inherit; font-weight: 600 }
        .lines li { flex-wrap: nowrap; padding: .4rem 0; border-bottom: 1px solid var(--line) } .lines button { padding: .1rem .5rem; font-size: .85rem } .lines li > span:nth-child(2) { white-space: nowrap } .lines li > span:first-child, .total > span:first-child, .devices li > div { flex: 1 1 auto }
        .total { font-weight: 600 } .hint, .devices p { color: var(--soft); margin: .4rem 0 0; font-size: .9rem }
        .devices { margin: 1.25rem 0 } .devices li { padding: .9rem 0; border-top: 1px solid var(--line) } .devices li > div { flex-basis: 16rem } code { overflow-wrap: anywhere }
        form { margin: 0 } .sign-in label { display: block; color: var(--soft); font-size: .9rem }
        input, button { font: inherit; border-radius: .4rem; padding: .4rem .8rem; border: 1px solid var(--line); background: var(--back); color: inherit }
        .sign-in input { width: 100%; margin: .25rem 0 .6rem }
        button { background: var(--accent); border-color: var(--accent); color: var(--on); cursor: pointer }
        button.quiet { background: none; border-color: var(--line); color: inherit } button.danger { background: none; border-color: #c0392b; color: inherit }
        :focus-visible { outline: 2px solid var(--accent); outline-offset: 2px }
        .message { margin: 1rem 0 0; padding: .6rem 1rem; border-left: 4px solid var(--accent); background: var(--tint) }
        footer { border-top: 1px solid var(--line); padding: 1rem 0 2rem; color: var(--soft) }
        """
}
