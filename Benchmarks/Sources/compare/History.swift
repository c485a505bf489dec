// SPDX-License-Identifier: Apache-2.0

/// What one sequential visitor knows about its own session: what was acknowledged, what may have happened,
/// what it has seen.
///
/// Decides without I/O whether a read tells the truth. A visitor sends one request at a time, so what it
/// reads must contain all that was acknowledged to it and all that it has read before (read-your-writes and
/// monotonic reads).
///
/// A change without an answer may still happen until its deadline, behind the visitor's back; then it counts as
/// it stands, and what happens later is an error.
struct History: Sendable {
    /// A change that the visitor asked for.
    enum Write: Sendable, Equatable {
        /// The first write of a session: a mark by which the session is recognised.
        case birth
        case append(Int)
        case clearItems
        case increment
        case note(Int)
        case signIn
        case signOut
    }

    /// A session as a read showed it.
    struct Sight: Sendable, Equatable {
        var principal: String?
        var birth: String?
        var items: Set<Int> = []
        var count = 0
        var note = 0
    }

    /// What a read means.
    enum Verdict: Sendable, Equatable {
        case current
        /// Acknowledged or seen before, and not there: this many changes.
        case behind(Int)
        /// The session is not there, or not signed in any more.
        case gone
        /// Something that this visitor never wrote, or wrote into a session that has ended.
        case foreign
    }

    /// Whether something holds, as far as the visitor can know.
    enum Belief: Sendable, Equatable {
        case no, maybe, yes
    }

    typealias Instant = ContinuousClock.Instant

    let user: String
    private(set) var epoch = 1
    private(set) var isBorn = Belief.no
    private(set) var isSignedIn = Belief.no
    private(set) var items: Set<Int> = []
    private var possibleItems: Set<Int> = []
    private var count = 0...0
    private var note = 0...0
    private var lastItem = 0
    private var lastNote = 0
    /// How long after it was sent a change may still show: five seconds until it is answered or refused, and one
    /// that a copy may be behind.
    static let patience = Duration.seconds(6)

    /// Until when the items may still be cleared, or the session be replaced or ended, by an open change.
    private var clearsUntil: Instant?
    private var replacesUntil: Instant?

    init(user: String) { self.user = user }

    /// The mark of the session that the visitor now has.
    var mark: String { "\(user).\(epoch)" }
    /// A number that no item of this visitor had yet.
    var nextItem: Int { lastItem + 1 }
    /// A number that no note of this visitor had yet.
    var nextNote: Int { lastNote + 1 }

    /// The server said that it is done.
    mutating func acknowledged(_ write: Write, askedAt asked: Instant) {
        switch write {
        case .birth: isBorn = .yes
        case .append(let item):
            // An open change that clears may still come after it.
            if isOpen(clearsUntil, at: asked) { possibleItems.insert(item) } else { items.insert(item) }
            lastItem = max(lastItem, item)
        case .clearItems:
            items = []
            possibleItems = []
        case .increment: count = count.lowerBound + 1...count.upperBound + 1
        case .note(let number):
            note = number...number
            lastNote = number
        case .signIn: isSignedIn = .yes
        case .signOut: forget()
        }
    }

    /// The visitor does not know whether it is done: no answer, or one that leaves it open.
    ///
    /// Until the deadline it may still be done.
    mutating func leftOpen(_ write: Write, until deadline: Instant) {
        switch write {
        case .birth: if isBorn == .no { isBorn = .maybe }
        case .append(let item):
            possibleItems.insert(item)
            lastItem = max(lastItem, item)
        case .clearItems:
            possibleItems.formUnion(items)
            items = []
            clearsUntil = max(clearsUntil ?? deadline, deadline)
        case .increment: count = count.lowerBound...count.upperBound + 1
        case .note(let number):
            note = note.lowerBound...number
            lastNote = number
        // Either may have replaced the credential, and the cookie with the new one did not arrive.
        case .signIn, .signOut:
            isSignedIn = .maybe
            isBorn = .maybe
            replacesUntil = max(replacesUntil ?? deadline, deadline)
        }
    }

    /// What a read means; changes nothing.
    func judge(_ sight: Sight) -> Verdict {
        if let birth = sight.birth, birth != mark { return .foreign }
        if let principal = sight.principal, principal != user { return .foreign }
        if sight.birth != nil, isBorn == .no { return .foreign }
        if sight.principal != nil, isSignedIn == .no { return .foreign }
        if isBorn == .yes, sight.birth == nil { return .gone }
        if isSignedIn == .yes, sight.principal == nil { return .gone }
        guard sight.birth != nil else { return .current }
        if let last = sight.items.max(), last > lastItem { return .foreign }
        if sight.count > count.upperBound || sight.note > note.upperBound { return .foreign }
        // An item that was cleared away and shows up again is old state, too.
        let returned = sight.items.subtracting(items).subtracting(possibleItems).count
        let missing = items.subtracting(sight.items).count + max(0, count.lowerBound - sight.count)
        let older = sight.note < note.lowerBound ? 1 : 0
        let total = returned + missing + older
        return total == 0 ? .current : .behind(total)
    }

    /// Takes in a truthful read, asked for at an instant: what was seen once must be seen from now on, unless
    /// a change that is still open may undo it.
    mutating func saw(_ sight: Sight, askedAt asked: Instant) {
        let mayBeReplaced = isOpen(replacesUntil, at: asked)
        let mayBeCleared = isOpen(clearsUntil, at: asked)
        if sight.birth == nil {
            if isBorn != .no, !mayBeReplaced { forget() }
            return
        }
        if !mayBeReplaced {
            isBorn = .yes
            if isSignedIn == .maybe { isSignedIn = sight.principal == nil ? .no : .yes }
        }
        if mayBeCleared {
            possibleItems.formUnion(sight.items)
            items = []
        } else {
            possibleItems.subtract(sight.items)
            items = sight.items
        }
        count = sight.count...count.upperBound
        note = sight.note...note.upperBound
    }

    /// The session is lost: the visitor goes on with whatever is there.
    mutating func lost(_ sight: Sight) {
        if sight.birth == mark { isSignedIn = .no } else { forget() }
        possibleItems = []
        items = sight.items
        count = sight.count...sight.count
        note = sight.note...max(sight.note, lastNote)
    }

    /// Changes are lost: the visitor goes on from what is there.
    mutating func lostUpdates(_ sight: Sight) {
        items = sight.items
        possibleItems = []
        count = sight.count...sight.count
        note = sight.note...sight.note
    }

    private func isOpen(_ deadline: Instant?, at instant: Instant) -> Bool {
        deadline.map { instant <= $0 } ?? false
    }

    private mutating func forget() {
        epoch += 1
        isBorn = .no
        isSignedIn = .no
        items = []
        possibleItems = []
        count = 0...0
        note = 0...0
        (clearsUntil, replacesUntil) = (nil, nil)
    }
}
