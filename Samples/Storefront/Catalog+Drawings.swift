// SPDX-License-Identifier: Apache-2.0

extension Product {
    /// A drawing of it; its colours are in the style sheet, so that they suit light and dark pages.
    var drawing: HTML {
        """
        <svg class="drawing" viewBox="0 0 120 80" aria-hidden="true" focusable="false">\(Self.shapes[id] ?? "")</svg>
        """
    }

    private static let shapes: [String: HTML] = [
        "lamp": """
        <path class="glow" d="M62 36 34 76h64L84 36z"/><path class="line" d="M42 70 34 42 66 20"/>
        <ellipse class="wood" cx="42" cy="71" rx="15" ry="4"/><path class="cloth" d="M60 12h26l10 24H52z"/>
        <circle class="wood" cx="34" cy="42" r="3"/>
        """,
        "mug": """
        <path class="line" d="M50 22c-4-5 4-7 0-13M62 22c-4-5 4-7 0-13"/><path class="ring" d="M76 37h6a9 9 0 0 1 0 20h-6"/>
        <path class="clay" d="M36 28h40v32a10 10 0 0 1-10 10H46a10 10 0 0 1-10-10z"/><path class="band" d="M36 40h40v8H36z"/>
        """,
        "chair": """
        <path class="beam" d="M44 10 76 73M76 44 44 73"/><path class="beam thin" d="M74 10 62 40"/>
        <rect class="wood" x="41" y="14" width="36" height="11" rx="3"/><rect class="wood" x="40" y="42" width="42" height="7" rx="3"/>
        """,
        "blanket": """
        <rect class="cloth" x="26" y="50" width="68" height="18" rx="9"/><rect class="wool" x="26" y="34" width="68" height="18" rx="9"/>
        <rect class="cloth" x="26" y="18" width="68" height="18" rx="9"/><path class="stripe" d="M40 18v18M46 18v18M40 50v18M46 50v18"/>
        <path class="line" d="M80 68v6M86 68v6M74 68v6"/>
        """,
        "clock": """
        <circle class="wood" cx="60" cy="40" r="31"/><circle class="face" cx="60" cy="40" r="25"/>
        <path class="line" d="M60 19v4M60 57v4M39 40h4M77 40h4M60 40V26M60 40l10 7"/><circle class="dot" cx="60" cy="40" r="2.5"/>
        """,
        "notebook": """
        <rect class="page" x="38" y="12" width="50" height="60" rx="3"/><rect class="cover" x="34" y="9" width="50" height="62" rx="4"/>
        <path class="stripe" d="M74 9v62"/><rect class="face" x="42" y="22" width="24" height="12" rx="2"/>
        <path class="line" d="M29 20h8M29 32h8M29 44h8M29 56h8"/>
        """,
    ]
}
