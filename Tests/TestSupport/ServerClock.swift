// SPDX-License-Identifier: Apache-2.0

import Foundation

/// What a server is started with so that its clock differs from the machine's.
///
/// Not with `libfaketime`, which cannot start a program that uses jemalloc.
enum ServerClock {
    /// Stands before the C library's functions that tell the time of day; the monotonic clock stays as it is.
    private static let source = """
        #define _GNU_SOURCE
        #include <stdlib.h>
        #include <sys/syscall.h>
        #include <sys/time.h>
        #include <time.h>
        #include <unistd.h>

        static long offset(void) {
            const char *text = getenv("CLOCK_OFFSET");
            return text ? atol(text) : 0;
        }

        int clock_gettime(clockid_t clock, struct timespec *now) {
            int failure = syscall(SYS_clock_gettime, clock, now);
            if (!failure && clock == CLOCK_REALTIME) now->tv_sec += offset();
            return failure;
        }

        int gettimeofday(struct timeval *now, void *zone) {
            int failure = syscall(SYS_gettimeofday, now, zone);
            if (!failure) now->tv_sec += offset();
            return failure;
        }

        time_t time(time_t *result) {
            struct timeval now;
            gettimeofday(&now, NULL);
            if (result) *result = now.tv_sec;
            return now.tv_sec;
        }
        """

    /// Returns the environment of a server whose clock is so many seconds ahead; compiles a library into a folder.
    static func environment(seconds: Int, folder: URL) async throws -> [String: String] {
        let (file, library) = (folder.appending(path: "clock.c"), folder.appending(path: "clock.so").path)
        try Data(source.utf8).write(to: file)
        // The compiler that Swift brings.
        _ = try await run("clang", ["-shared", "-fPIC", "-O1", "-o", library, file.path])
        return ["LD_PRELOAD": library, "CLOCK_OFFSET": "\(seconds)"]
    }
}

extension RedisServer {
    /// Whether the installed server takes a `clockOffset`; one that is linked statically does not.
    public static func takesClockOffset() async throws -> Bool {
        let server = try await RedisServer(clockOffset: 1000)
        let seconds = try await server.admin("TIME").split(separator: "\n").first.flatMap { Double($0) }
        await server.crash()
        return (seconds ?? 0) - Date.now.timeIntervalSince1970 > 500
    }
}
