// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Sessions

/// The pages: whole on the server, usable without JavaScript.
enum Page {
    /// What stands around every page.
    struct Frame: Sendable {
        let user: String?
        let messages: [String]
        let panel: Panel
    }

    static func front(cart: Cart, _ frame: Frame) -> HTML {
        page(
            "Shop",
            frame,
            """
            <section aria-labelledby="things"><h1 id="things">Things for a quiet room</h1>
            <ul class="products">\(Product.all.map(card))</ul></section>
            <div class="halves"><section class="card" aria-labelledby="cart"><h2 id="cart">Cart <span class="count" id="cart-count">\(cart.count)</span></h2>
            \(basket(cart))</section>\(frame.user == nil ? signInForm : "")</div>
            """
        )
    }

    static func devices(
        _ devices: [SessionSummary],
        note: String,
        current: SessionID?,
        now: SessionInstant,
        _ frame: Frame
    ) -> HTML {
        let others: HTML = """
            <form method="post" action="/devices/sign-out-others"><button class="danger">Sign out all other devices</button></form>
            """
        return page(
            "Devices",
            back: "/devices",
            frame,
            """
            <section aria-labelledby="devices"><h1 id="devices">Your devices
            <span class="count" id="device-count">\(devices.count)</span></h1>
            <p>\(note)</p>
            <ul class="devices">\(devices.map { device($0, isCurrent: $0.id == current, now: now) })</ul>
            \(devices.count > 1 ? others : "")</section>
            """
        )
    }

    static func failure(status: HTTPResponse.Status, _ panel: Panel) -> HTML {
        let (title, text): (HTML, HTML) =
            switch status.code {
            case 400: ("That did not work", "The form was not filled in as expected.")
            case 403: ("Not from here", "The form was sent from another site, so nothing was changed.")
            case 404: ("Nothing here", "There is no such page.")
            case 501:
                ("No list here", "The shop keeps sessions in the browsers alone, so it has no list of yours.")
            case 503:
                (
                    "One moment, please",
                    "Your session cannot be looked up just now. You are not signed out; try again soon."
                )
            default: ("Something went wrong", "The shop could not answer. Nothing was changed.")
            }
        return document(
            title,
            nil,
            panel,
            back: "/",
            "<section><h1>\(title)</h1><p>\(text)</p><p><a href=\"/\">Back to the shop</a></p></section>"
        )
    }

    // MARK: Parts

    private static func card(_ product: Product) -> HTML {
        """
        <li>\(product.drawing)<h2>\(product.name)</h2><p>\(product.note)</p>
        <form method="post" action="/cart"><input type="hidden" name="product" value="\(product.id)">
        <span class="price">\(money(product.cents))</span> <button aria-label="Add \(product.name) to the cart">Add to cart</button></form></li>

        """
    }

    private static func basket(_ cart: Cart) -> HTML {
        guard cart.count > 0 else { return "<p>Nothing in it yet.</p>" }
        return """
            <ul class="lines">\(cart.lines.map(line))</ul><p class="total"><span>Total</span> <span>\(money(cart.cents))</span></p>
            """
    }

    private static func line(_ line: (product: Product, quantity: Int)) -> HTML {
        """
        <li><span>\(line.quantity) × \(line.product.name)</span> <span>\(money(line.product.cents * line.quantity))</span>
        <form method="post" action="/cart/remove"><input type="hidden" name="product" value="\(line.product.id)">
        <button class="quiet" aria-label="Remove \(line.product.name)">Remove</button></form></li>
        """
    }

    private static let signInForm: HTML = """
        <section class="card" aria-labelledby="sign-in"><h2 id="sign-in">Sign in</h2><form class="sign-in" method="post" action="/sign-in"><label for="name">Any name will do</label>
        <input id="name" name="name" required maxlength="40" autocomplete="username"> <button>Sign in</button></form>
        <p class="hint">Your cart comes along.</p></section>
        """

    private static func device(_ device: SessionSummary, isCurrent: Bool, now: SessionInstant) -> HTML {
        let used: HTML = isCurrent ? "in use now" : "last used \(spell(now - device.lastUsed)) ago"
        let mark: HTML = isCurrent ? " <em>this device</em>" : ""
        return """
            <li><div><strong>\(device[.device] ?? "Unknown device")</strong>\(mark)
            <p>Signed in \(spell(now - device.created)) ago, \(used) · <code>\(device.id.description)</code></p></div>
            <form method="post" action="/devices/sign-out"><input type="hidden" name="id" value="\(device.id.description)">
            <button class="quiet">Sign out</button></form></li>
            """
    }

    private static func page(_ title: HTML, back: String = "/", _ frame: Frame, _ content: HTML) -> HTML {
        let messages: [HTML] = frame.messages.map { "<p class=\"message\" role=\"status\">\($0)</p>" }
        return document(title, frame.user, frame.panel, back: back, "\(messages)\(content)")
    }

    private static func document(
        _ title: HTML,
        _ user: String?,
        _ panel: Panel,
        back: String,
        _ content: HTML
    ) -> HTML {
        let account: HTML =
            user.map {
                """
                <a href="/devices">Devices</a><span><span class="long">Signed in as</span> <strong id="user">\($0)</strong></span>
                <form method="post" action="/sign-out"><button class="quiet">Sign out</button></form>
                """
            } ?? ""
        let breaking: HTML = panel.demo.map { Page.demo($0, strategy: panel.strategy, back: back) } ?? ""
        let jump: HTML = panel.demo == nil ? "" : "<a href=\"#demo\">Break it</a>"
        return """
            <!doctype html>
            <html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
            <title>\(title) · Storefront</title><link rel="stylesheet" href="/style.css"><link rel="icon" href="/icon.svg">
            <script src="/script.js" defer></script></head><body>
            <a class="skip" href="#main">Skip to the shop</a>
            <header><a class="brand" href="/">Storefront</a><nav aria-label="Shop">\(jump)\(account)</nav></header>
            <div class="columns"><main id="main" tabindex="-1">\(content)</main>
            \(Page.panel(panel))</div>
            \(breaking)
            <footer>Nothing here is for sale. Sessions by swift-sessions, kept with <strong>\(panel.strategy.demoName)</strong>.</footer>
            </body></html>

            """
    }

    // MARK: Words

    private static func money(_ cents: Int) -> String {
        let rest = String(cents % 100)
        return "€ \(cents / 100).\(rest.count == 1 ? "0" : "")\(rest)"
    }

    static func spell(_ duration: Duration) -> String {
        let seconds = max(0, Int(duration.components.seconds))
        switch seconds {
        case ..<60: return "\(seconds) s"
        case ..<3600: return "\(seconds / 60) min \(seconds % 60) s"
        default: return "\(seconds / 3600) h \(seconds / 60 % 60) min"
        }
    }
}
