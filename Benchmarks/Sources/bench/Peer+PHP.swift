// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport

extension Peer {
    static func php(_ name: String, isLocking: Bool) -> Peer {
        Peer(
            name: name,
            folder: "php",
            cookieName: "PHPSESSID",
            madeUp: String(repeating: "a1", count: 16)
        ) { try start($0, isLocking: isLocking) }
    }

    /// nginx with two workers and php-fpm with eight, which is what two cores are given.
    private static func start(_ place: Place, isLocking: Bool) throws -> [ChildProcess] {
        let isRoot = geteuid() == 0
        let socket = place.work.appending(path: "fpm").path
        let pool = place.work.appending(path: "fpm.conf")
        let settings = """
            [global]
            daemonize = no
            error_log = /dev/stderr
            [www]
            \(isRoot ? "user = root\ngroup = root" : "")
            listen = \(socket)
            pm = static
            pm.max_children = 8
            php_admin_value[session.save_handler] = redis
            php_admin_value[session.save_path] = "tcp://127.0.0.1:\(place.redisPort)?persistent=1"
            php_admin_value[session.gc_maxlifetime] = 1800
            php_admin_value[session.use_strict_mode] = 1
            php_admin_value[session.cookie_httponly] = 1
            php_admin_value[session.cookie_samesite] = Lax
            php_admin_value[redis.session.locking_enabled] = \(isLocking ? 1 : 0)
            """
        try Data(settings.utf8).write(to: pool)
        let site = place.work.appending(path: "nginx.conf")
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map {
            "\($0)_temp_path \(place.work.path)/\($0);"
        }.joined(separator: " ")
        let web = """
            \(isRoot ? "user root;" : "")
            worker_processes 2;
            daemon off;
            pid \(place.work.path)/nginx.pid;
            error_log stderr error;
            events { worker_connections 2048; }
            http {
                access_log off; \(temporary)
                keepalive_requests 100000000;
                upstream fpm { server unix:\(socket); }
                server {
                    listen 127.0.0.1:\(place.port) backlog=1024;
                    location / {
                        include /etc/nginx/fastcgi_params;
                        fastcgi_param SCRIPT_FILENAME \(place.files.path)/index.php;
                        fastcgi_pass fpm;
                    }
                }
            }
            """
        try Data(web.utf8).write(to: site)
        let version = try FileManager.default.contentsOfDirectory(atPath: "/usr/sbin").first {
            $0.hasPrefix("php-fpm")
        }
        let fpm = ["--nodaemonize", "--fpm-config", pool.path] + (isRoot ? ["--allow-to-run-as-root"] : [])
        return [
            try ChildProcess("/usr/sbin/\(version ?? "php-fpm")", fpm),
            try ChildProcess("/usr/sbin/nginx", ["-e", "stderr", "-c", site.path]),
        ]
    }
}
