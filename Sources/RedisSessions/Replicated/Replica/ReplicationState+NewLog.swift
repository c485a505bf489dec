// SPDX-License-Identifier: Apache-2.0

extension ReplicationState {
    /// Returns the epoch of a new log, higher than all before and partly random, the milliseconds that its
    /// first position must exceed, and those of the last position that it may have.
    ///
    /// - Parameters:
    ///   - last: the last entry of the log as it was.
    ///   - serverTime: the time at the server in milliseconds.
    ///   - random: a random number.
    /// - Returns: the three.
    func newLog(
        after last: LogPosition?,
        serverTime: Int64,
        random: UInt64
    ) -> (epoch: UInt64, notBefore: UInt64, notAfter: UInt64) {
        let time = UInt64(max(serverTime, 0))
        let epoch = time << 20 | random & (1 << 20 - 1)
        let before = [serving, current].compactMap { $0?.epoch }.max() ?? 0
        let notBefore = max(serving?.applied.milliseconds ?? 0, last?.milliseconds ?? 0)
        let patience = UInt64(clamping: options.timeout.wholeMilliseconds)
        return (max(before + 1, epoch), notBefore, max(time, notBefore + 1) + patience)
    }
}
