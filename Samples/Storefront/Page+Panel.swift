// SPDX-License-Identifier: Apache-2.0

import HummingbirdSessions
import Sessions

extension Page {
    /// The cards beside the shop.
    static func panel(_ panel: Panel) -> HTML {
        let about: HTML = panel.session.map { "\(session($0))\(cookie($0, panel))" } ?? ""
        return """
            <aside class="panel" aria-labelledby="panel"><h2 id="panel">What just happened</h2>
            \(request(panel))\(about)</aside>
            """
    }

    private static func request(_ panel: Panel) -> HTML {
        let previous: HTML =
            panel.receipt.previous.map { step in
                """
                <li><span class="way">form <code>\(step.path)</code></span> <strong>\(step.instance)</strong>
                <span>\(spell(step.cost, panel.strategy))</span></li>
                """
            } ?? ""
        let cost: HTML = panel.receipt.cost.map { spell($0, panel.strategy) } ?? ""
        return """
            <section class="card" aria-labelledby="request"><h3 id="request">This request</h3><ol class="steps">\(previous)
            <li><span class="way">this page</span> <strong id="instance">\(panel.instance)</strong>
            <span id="cost">\(cost)</span></li></ol></section>
            """
    }

    /// What was measured; nothing is claimed for a strategy without a Redis.
    private static func spell(_ cost: Meter.Cost, _ strategy: Strategy) -> HTML {
        guard strategy.hasRedis else { return "no Redis" }
        let work = cost.work
        let shared: HTML = cost.isShared ? " (with another request’s)" : ""
        let what: HTML =
            strategy == .replicated
            ? "\(work.commands) log \(work.commands == 1 ? "entry" : "entries")"
            : "\(work.commands) \(work.commands == 1 ? "command" : "commands")"
        return "\(work.roundTrips) \(work.roundTrips == 1 ? "round trip" : "round trips"), \(what)\(shared)"
    }

    private static func session(_ session: Session) -> HTML {
        guard let times = session.times else {
            return """
                <section class="card" aria-labelledby="session"><h3 id="session">Your session</h3>
                <p>There is none: nothing is stored about you until you put something into the cart or sign in.</p></section>
                """
        }
        let now = session.now
        let authenticated: HTML =
            times.authenticated.map { "<div><dt>Signed in</dt><dd>\(spell(now - $0)) ago</dd></div>" } ?? ""
        return """
            <section class="card" aria-labelledby="session"><h3 id="session">Your session</h3><dl>
            <div><dt>Version</dt><dd id="version">\(session.version)</dd></div>
            <div><dt>Ends unused in</dt><dd>\(countdown("idle-end", times.lastUsed + times.idleTimeout - now))</dd></div>
            <div><dt>Ends at all in</dt><dd>\(countdown("absolute-end", times.deadline - now))</dd></div>
            <div><dt>Last touch</dt><dd id="last-touch">\(spell(now - times.lastUsed)) ago</dd></div>\(authenticated)</dl>
            <p class="hint">As this request found it. A touch restarts the first limit, once a tenth of it has passed.</p></section>
            """
    }

    private static func cookie(_ session: Session, _ panel: Panel) -> HTML {
        guard let value = session.credential?.value else { return "" }
        let parts = panel.parts(of: value).map { part -> HTML in
            let text: HTML =
                part.text.map { "<code>\($0)</code>" }
                ?? "<span aria-hidden=\"true\" class=\"dots\">•••••••</span>"
            return """
                <div><dt>\(part.name) <small>\(part.length) bytes</small></dt><dd>\(text)<br><small>\(part.meaning)</small></dd></div>
                """
        }
        return """
            <section class="card" aria-labelledby="cookie"><h3 id="cookie">Your cookie</h3>
            <p><code>\(panel.cookieName)</code>, <span id="cookie-bytes">\(value.utf8.count)</span> bytes</p><dl class="wide">\(parts)</dl></section>
            """
    }

    private static func countdown(_ id: String, _ left: Duration) -> HTML {
        let seconds = max(0, Int(left.components.seconds))
        return "<span id=\"\(id)\" data-seconds=\"\(seconds)\">\(spell(left))</span>"
    }
}
