// SPDX-License-Identifier: Apache-2.0

/// What to call a device in a list, as far as its browser says.
enum DeviceName {
    /// The order decides: Edge and Opera call themselves Chrome too, and Chrome calls itself Safari.
    private static let browsers = [
        ("Firefox/", "Firefox"), ("Edg/", "Edge"), ("OPR/", "Opera"), ("Chrome/", "Chrome"),
        ("Safari/", "Safari"), ("curl/", "curl"),
    ]
    private static let systems = [
        ("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"), ("Windows", "Windows"),
        ("Mac OS X", "macOS"), ("Linux", "Linux"),
    ]

    static func from(userAgent: String?) -> String {
        guard let userAgent else { return "Unknown device" }
        let browser = browsers.first { userAgent.contains($0.0) }?.1
        let system = systems.first { userAgent.contains($0.0) }?.1
        switch (browser, system) {
        case (let browser?, let system?): return "\(browser) on \(system)"
        case (let name?, nil), (nil, let name?): return name
        case (nil, nil): return "Unknown device"
        }
    }
}
