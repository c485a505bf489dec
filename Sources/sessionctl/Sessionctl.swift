// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Sessions

/// The operators' tool for sessions in Redis.
@main
struct Sessionctl: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sessionctl",
        abstract: "Looks at the sessions that an application keeps in Redis, and ends them.",
        discussion: """
            For RedisSessionStore, with or without a near cache. Sessions in cookies and replicated ones are not in reach.

            The server and the application are named by options or by variables:
              SESSIONS_REDIS_URL       as --redis; may hold the password
              SESSIONS_REDIS_USER      as --redis-user
              SESSIONS_REDIS_PASSWORD  the password, unless it is in the URL or in --password-file
              SESSIONS_SENTINEL_USER, SESSIONS_SENTINEL_PASSWORD  the login of the sentinels, if they have one
              SESSIONS_REDIS_CA        as --ca-file
              SESSIONS_APPLICATION     as --application
              SESSIONS_PEPPERS         as the contents of --pepper-file

            Exit codes: 0 done; 1 what was named is not there (doctor: warnings); 2 Redis or its settings failed (doctor: \
            problems); 64 the command line is wrong.
            """,
        subcommands: [
            ListCommand.self, ShowCommand.self, RevokeCommand.self, RevokeUserCommand.self,
            RevokeAllCommand.self, StatsCommand.self, WatchCommand.self, DoctorCommand.self,
            SchemaCommand.self,
        ]
    )

    static func main() async { await main(separated(Array(CommandLine.arguments.dropFirst()))) }

    /// Returns the arguments so that IDs which begin with a hyphen, as every 64th does, are not taken for options.
    private static func separated(_ arguments: [String]) -> [String] {
        guard !arguments.contains("--") else { return arguments }
        var (rest, ids) = ([String](), [String]())
        for argument in arguments {
            if !argument.hasPrefix("-") || SessionID(argument) == nil {
                rest.append(argument)
            } else if rest.last == "--except" {
                rest[rest.count - 1] += "=\(argument)"
            } else {
                ids.append(argument)
            }
        }
        return rest + (ids.isEmpty ? [] : ["--"]) + ids
    }
}
