// SPDX-License-Identifier: Apache-2.0

extension Page {
    /// The buttons that break things, and the ledger of what that costs.
    static func demo(_ demo: Demo, strategy: Strategy, back: String) -> HTML {
        let state = demo.state
        let texts = state.texts
        let order = { (order: String, label: String, style: String) -> HTML in
            "<button class=\"\(style)\" name=\"order\" value=\"\(order)\">\(label)</button>"
        }
        let instances = Demo.instances.map { name -> HTML in
            """
            <li>\(part(name, texts))<span class="do">\(order("kill \(name)", "Kill", "danger")) \(order("freeze \(name)", "Freeze", "danger")) \(order("restart \(name)", "Restart", "quiet"))</span></li>
            """
        }
        let redis: HTML =
            strategy.hasRedis
            ? """
            <li>\(part("redis", texts))<span class="do">\(order("freeze redis", "Freeze", "danger")) \(order("empty redis", "Empty", "danger"))</span></li>
            """ : "<li><span>redis</span><span class=\"hint\">This strategy has none.</span></li>"
        let strategies = Demo.strategies.map { name -> HTML in
            let isCurrent = name == strategy.demoName
            return isCurrent
                ? "<button disabled aria-current=\"true\">\(name)</button>"
                : order("switch \(name)", name, "quiet")
        }
        return """
            <section id="demo" class="card demo" aria-labelledby="break" data-strategy="\(strategy.demoName)">
            <form method="post" action="/demo/order"><input type="hidden" name="back" value="\(back)">
            <div class="bar"><h2 id="break">Break it</h2><span id="live" class="hint" role="status">Reload the page to see what changes.</span></div>
            <div class="halves"><div><h3>Processes</h3><ul class="parts">\(instances)\(redis)<li><span>two tabs</span>
            <span class="do">\(order("tabs", "Change one session at once", "quiet"))</span></li></ul>
            <p class="hint">What is killed or frozen comes back after five seconds. \(strategy.newsNote)</p></div>
            <div><h3>Sessions are kept with</h3><p class="choice">\(strategies)</p>
            <h3>Lately</h3><pre id="events" role="log">\(texts["events"] ?? "")</pre></div></div></form>
            \(ledger(texts, current: strategy.demoName))</section>
            """
    }

    private static func part(_ name: String, _ texts: [String: String]) -> HTML {
        let state = texts["part-\(name)"] ?? ""
        return
            "<span>\(name)</span> <span class=\"state\" id=\"part-\(name)\" data-state=\"\(state)\">\(state)</span>"
    }

    private static func ledger(_ texts: [String: String], current: String) -> HTML {
        let rows = Demo.strategies.map { strategy -> HTML in
            let cells = Ledger.columns.map { column -> HTML in
                let text = texts["\(column)-\(strategy)"] ?? ""
                return
                    "<td id=\"\(column)-\(strategy)\" data-state=\"\(text)\" class=\"\(column)\">\(text)</td>"
            }
            let mark: HTML = strategy == current ? " class=\"current\"" : ""
            return "<tr\(mark)><th scope=\"row\">\(strategy)</th>\(cells)</tr>"
        }
        let heads = Ledger.columns.map { "<th scope=\"col\">\($0)</th>" as HTML }
        return """
            <div class="scroll" tabindex="0" role="region" aria-labelledby="ledger"><table>
            <caption><h3 id="ledger">Ledger</h3> Five visitors of the demo’s own change their sessions, five times a second in all, and read
            each change back. <b>Acknowledged</b>: the shop answered 200. <b>Seen</b>: it was there when read back. <b>Lost</b>: it was not.
            <b>Refused</b>: the shop said so, or did not answer.</caption>
            <thead><tr><th scope="col">strategy</th>\(heads)</tr></thead><tbody>\(rows)</tbody></table></div>
            """
    }
}
