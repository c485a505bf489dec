// SPDX-License-Identifier: Apache-2.0

extension RedisReply {
    /// Whether the server has refused a command because of its own role or state: it was not executed, and the
    /// address of the server may lead to another one by now.
    ///
    /// A demoted primary, a replica without its primary, a server that loads its data, a primary without its
    /// replicas, a cluster node that does not own the key, and a proxy that has lost its login. Redis 6 puts
    /// the refusal of a command in a script behind a text of its own.
    var isFromWrongServer: Bool {
        guard kind == .error else { return false }
        return isError("READONLY ") || isError("MASTERDOWN ") || isError("LOADING ") || isError("REDIRECT ")
            || isError("NOREPLICAS ") || isError("CLUSTERDOWN ") || isError("MOVED ") || isError("UNBLOCKED ")
            || isError("NOAUTH ")
            || (isError("ERR Error running script ")
                && error?.serverMessage?.contains(": -READONLY ") == true)
    }
}
