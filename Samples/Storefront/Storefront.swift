// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import GracefulDrain
import Hummingbird
import HummingbirdSessions
import Logging
import ServiceLifecycle
import Sessions
import UnixSignals

/// A small shop whose visitors do not notice which of several instances answers them.
///
/// Start it as often as you like, with a balancer in front: `make demo` does that, for each of the
/// strategies.
@main
struct Storefront: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "One instance of a small shop that keeps its sessions where you want.",
        discussion: "Each option can also be given in the environment, under the name in brackets.",
        subcommands: [Traffic.self]
    )

    @Option(help: "The address to listen on; 127.0.0.1 without it. [STOREFRONT_HOST]")
    var host: String?

    @Option(help: "The port to listen on; 8080 without it. [STOREFRONT_PORT]")
    var port: Int?

    @Option(
        help:
            "Where sessions are kept: redis, memory, sealed or replicated; redis without it. [STOREFRONT_STORE]"
    )
    var store: Strategy?

    @Option(
        help: "Keys that seal cookies, ID:BASE64URL-OF-32-BYTES,…; the first seals. [STOREFRONT_SEAL_KEYS]"
    )
    var sealKeys: String?

    @Option(help: "Where Redis is; redis://127.0.0.1 without it. [STOREFRONT_REDIS]")
    var redis: String?

    @Option(help: "The ACL user in Redis; its password is in a file. [STOREFRONT_REDIS_USER]")
    var redisUser: String?

    @Option(help: "The file with the password for Redis. [STOREFRONT_REDIS_PASSWORD_FILE]")
    var redisPasswordFile: String?

    @Option(help: "The name of this instance, as the pages show it. [STOREFRONT_INSTANCE]")
    var instance: String?

    @Flag(help: "Send the cookie over plain HTTP too; for development only. [STOREFRONT_PLAIN_HTTP]")
    var plainHttp = false

    @Option(
        help: "The folder of the demo's supervisor: pages get buttons that break things. [STOREFRONT_DEMO]"
    )
    var demo: String?

    func run() async throws {
        let settings = try Settings(self)
        let cookie = settings.isPlainHTTP ? SessionCookie.plainHTTP() : SessionCookie()
        let (store, services, work) = try settings.strategy.store(with: settings, cookie: cookie)
        let sessions = try SessionManager(store: store, cookie: cookie)
        // Longer than two failed checks of `haproxy.cfg`.
        let drain = GracefulDrain(notice: .seconds(2))
        let shop = Shop(
            sessions: sessions,
            strategy: settings.strategy,
            instance: settings.instance,
            drain: drain,
            meter: Meter(work),
            demo: settings.demo.map(Demo.init)
        )

        var app = Application(
            router: shop.router(),
            configuration: ApplicationConfiguration(
                address: .hostname(settings.host, port: settings.port),
                serverName: "Storefront"
            )
        )
        app.logger.logLevel = .notice
        app.addServices(services)
        // Says at the start what the store lacks, such as a right in Redis; /readyz goes on asking.
        app.beforeServerStarts { [logger = app.logger] in
            do { try await sessions.store.check() } catch { logger.error("not ready: \(error)") }
        }
        // Told to stop, a group stops its last service first: requests are served until the balancer looks
        // elsewhere.
        let group = ServiceGroup(
            services: [app, drain],
            gracefulShutdownSignals: [.sigterm, .sigint],
            logger: app.logger
        )
        try await group.run()
    }
}
