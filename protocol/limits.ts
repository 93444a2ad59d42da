/** Every size and duration, each with its unit. README.md in this folder gives the reasons. */

// What the specification fixes: another implementation must use the same.

/** Bytes in a preface line, its newline included. */
export const MAX_PREFACE_BYTES = 256;
/** Bytes in a length-prefixed frame (Noise's own limit). */
export const MAX_FRAME_BYTES = 65_535;
/** Bytes in a frame while the handshake runs. */
export const MAX_HANDSHAKE_BYTES = 4_096;
/** Bytes that authenticate a record. */
export const TAG_BYTES = 16;
/** Bytes of plaintext in a record. */
export const MAX_RECORD_BYTES = MAX_FRAME_BYTES - TAG_BYTES;
/** Bytes in the certificate of one who is about to be a TLS server. */
export const MAX_CERTIFICATE_BYTES = 2_048;
/** Connections inside TLS that one session may have, one after the other. */
export const MAX_TLS_CONNECTIONS = 3;
/** Records without plaintext that may come in a row. */
export const MAX_EMPTY_RECORDS = 16;
/** Bytes before a session frame's payload: type, stream, length. */
export const SESSION_HEADER_BYTES = 7;
/** Bytes in a session frame's payload: header and payload fill one record. */
export const MAX_PAYLOAD_BYTES = MAX_RECORD_BYTES - SESSION_HEADER_BYTES;
/** Bytes that may be sent on a new stream before the first WINDOW. */
export const INITIAL_WINDOW_BYTES = 262_144;
/** Bytes that a stream's window may grow to. */
export const MAX_WINDOW_BYTES = 16 * 1_048_576;
/** Bytes granted above INITIAL_WINDOW_BYTES, over all streams of a session. */
export const MAX_EXTRA_WINDOW_BYTES = 32 * 1_048_576;
/** Streams that the other side may have open. */
export const MAX_STREAMS = 128;
/** Streams that the other side may open, at once and in a second. */
export const MAX_OPENS_AT_ONCE = 256;
export const MAX_OPENS_PER_SECOND = 128;
/** Bytes in a stream's kind. */
export const MAX_KIND_BYTES = 64;
/** Bytes in a name that a peer goes by. */
export const MAX_NAME_BYTES = 64;
/** Bytes of text in a GOODBYE, REFUSE or ABORT. */
export const MAX_REASON_BYTES = 512;
/** Bytes that may be received before an ACK is due. */
export const ACK_BYTES = 262_144;
/** Milliseconds that an ACK may wait. */
export const ACK_DELAY_MS = 20;

/** Bytes before a message's body in a stream: type, length. */
export const MESSAGE_HEADER_BYTES = 5;
/** Bytes in one line of chat. */
export const MAX_CHAT_BYTES = 16 * 1_048_576;
/** Bytes of a LINE that cost as much as a message without any. */
export const LINE_UNIT_BYTES = 4_096;
/** Bytes of another message that cost as much as a message without any. */
export const MESSAGE_UNIT_BYTES = 512;
/** Units that are taken of one member among others, at once and in a second. */
export const TAKEN_AT_ONCE = 2_048;
export const TAKEN_PER_SECOND = 500;
/** Units that are said to one member among others, at once and in a second. */
export const SAID_AT_ONCE = 1_024;
export const SAID_PER_SECOND = 250;
/** Bytes in a MEMBER message. */
export const MAX_MEMBER_BYTES = 4_096;
/** Bytes in a MEMBERS message. */
export const MAX_MEMBERS_BYTES = 65_536;
/** Members that a MEMBERS message tells of. */
export const MAX_MEMBERS = 64;
/** Addresses that a member tells. */
export const MAX_MEMBER_ADDRESSES = 8;
/** Bytes in a HAVE message of a chat. */
export const MAX_POSITIONS_BYTES = 65_536;
/** Milliseconds that a line is kept for members that do not have it. */
export const LINE_LIFE_MS = 3_600_000;
/** Milliseconds that the position in a log is kept in which nothing happens. */
export const POSITION_LIFE_MS = 2 * LINE_LIFE_MS;
/** Lines that are kept. */
export const MAX_LINES = 32_768;
/** Bytes of lines that are kept. */
export const MAX_LINES_BYTES = 32 * 1_048_576;
/** Bytes of lines that are kept of one author. */
export const MAX_AUTHOR_BYTES = 8 * 1_048_576;
/** Logs of which positions are kept. */
export const MAX_LOGS = 1_024;
/** Milliseconds that others have to fill a gap before it is skipped. */
export const GAP_WAIT_MS = 120_000;
/** Milliseconds that they have where the receiver has no line of that log. */
export const BEGIN_WAIT_MS = 5_000;
/** Milliseconds until somebody who hands on shows that it has a line behind a gap. */
export const GAP_SHOW_MS = 5_000;
/** Milliseconds that a lost member is still one. */
export const MEMBER_GRACE_MS = 3_600_000;
/** Milliseconds that the one with the larger (instance, key) waits before it dials the other. */
export const SECOND_DIALLER_MS = 2_000;
/** Bytes in one line of plain chat. */
export const MAX_PLAIN_LINE_BYTES = 1_048_576;
/** Bytes in a line of plain chat that tells of members. */
export const MAX_PLAIN_MESH_BYTES = 65_536;
/** Members in such a line. */
export const MAX_PLAIN_NODES = 64;
/** UTF-16 units in what a member of a plain mesh calls itself for programs. */
export const MAX_PLAIN_NODE_ID_UNITS = 64;
/** Bytes in an ENTRIES message. */
export const MAX_ENTRIES_BYTES = 262_144;
/** Bytes in all ENTRIES messages of an offer. */
export const MAX_OFFER_BYTES = 33_554_432;
/** Bytes in a HAVE or SKIP message. */
export const MAX_HAVE_BYTES = 65_536;
/** Bytes in a file DATA message. */
export const MAX_FILE_DATA_BYTES = 1_048_576;
/** Bytes that one digest covers when a transfer resumes. */
export const RESUME_BLOCK_BYTES = 1_048_576;
/** Entries in an offer. */
export const MAX_ENTRIES = 200_000;
/** Parts in a path. */
export const MAX_PATH_PARTS = 64;
/** Bytes in one part of a path. */
export const MAX_PART_BYTES = 255;
/** Bytes in a path. */
export const MAX_PATH_BYTES = 4_096;

/** Bytes in a rendezvous message on a control session or WebSocket, its newline included. */
export const MAX_RENDEZVOUS_BYTES = 4_096;
/** Bytes in a rendezvous message in a datagram: what crosses every network in one piece. */
export const MAX_DATAGRAM_BYTES = 1_200;
/** Addresses in a list of candidates. */
export const MAX_CANDIDATES = 16;
/** Addresses in a list of those at which STUN saw a peer. */
export const MAX_SEEN = 8;
/** Bytes of what the two sides of an introduction prove their datagrams to each other with. */
export const PUNCH_SECRET_BYTES = 16;
/** Milliseconds after which a client of a relay sends a Ping. */
export const RELAY_PING_MS = 15_000;
/** Milliseconds without a message after which a relay and its client give each other up. */
export const RELAY_DEAD_MS = 40_000;
/** Milliseconds that a name is kept for its key after its connection was lost. */
export const NAME_GRACE_MS = 15_000;
/** Milliseconds that a token of a circuit is good for. */
export const TOKEN_LIFE_MS = 60_000;
/** Milliseconds that one end of a circuit waits at the relay for the other. */
export const CIRCUIT_WAIT_MS = 30_000;

/** The most by which a sequential NAT's ports differ, from one connection to the next. */
export const MAX_SEQUENTIAL_STEP = 10;
/** Ports at which a sequential NAT is to show its next connections. */
export const PREDICTED_PORTS = 16;
/** Time to live of the first PROBE to an address that is not local. */
export const OPENER_TTL = 5;
/** Milliseconds between two PROBEs to an address. */
export const PROBE_MS = 50;
/** Milliseconds between two PROBEs to an address, from SLOW_PROBE_AFTER_MS on. */
export const SLOW_PROBE_MS = 250;
/** Milliseconds after the start, or after the other side was first heard from an address. */
export const SLOW_PROBE_AFTER_MS = 1_000;
/** Milliseconds after which a dependent NAT's ports are guessed. */
export const SPRAY_AFTER_MS = 750;
/** Milliseconds between two guesses, or two further sockets. */
export const SPRAY_MS = 10;
/** Further sockets that are opened behind a dependent NAT. */
export const SPREAD_SOCKETS = 256;
/** Milliseconds for an attempt to punch. */
export const PUNCH_TIMEOUT_MS = 2_500;
/** Milliseconds for an attempt to punch through a dependent NAT. */
export const LONG_PUNCH_TIMEOUT_MS = 20_000;
/** Times that NOMINATE is sent. */
export const NOMINATIONS = 3;
/** Milliseconds without a word from the asker after which its target goes on without NOMINATE. */
export const NOMINATE_WAIT_MS = 1_000;
/** Datagrams that a side sends in any second while it punches. */
export const MAX_PUNCH_RATE = 100;
/** PROBEs, and ANSWERs, from a socket to an address that is not proven. */
export const MAX_UNPROVEN = 40;
/** Addresses that a side takes up though it was not told them. */
export const MAX_REFLEXIVE = 16;

/** Bytes in an announcement, and in a query, that is sent on a network. */
export const MAX_ANNOUNCEMENT_BYTES = MAX_DATAGRAM_BYTES;
/** Bytes in one that is read: what Ethernet carries in one piece. */
export const MAX_MULTICAST_BYTES = 1_472;
/** Records in a Multicast DNS message. */
export const MAX_DNS_RECORDS = 64;
/** Jumps in a name in a Multicast DNS message. */
export const MAX_DNS_JUMPS = 16;
/** Addresses in an announcement. */
export const MAX_ANNOUNCED_ADDRESSES = 8;
/** Seconds that an announcement is good for. */
export const ANNOUNCEMENT_LIFE_S = 120;
/** Milliseconds between two announcements, at least. */
export const ANNOUNCEMENT_GAP_MS = 1_000;
/** Milliseconds that an answer to a query waits, so that many do not speak at once. */
export const MIN_ANSWER_DELAY_MS = 20;
export const MAX_ANSWER_DELAY_MS = 120;
/** Milliseconds between the first two queries; after that it doubles. */
export const QUERY_MS = 1_000;
/** Milliseconds between two queries, at most. */
export const MAX_QUERY_MS = 60_000;
/** Announcements that are kept. */
export const MAX_NEARBY = 256;
/** Announcements that are kept of those that come from one address. */
export const MAX_NEARBY_PER_SOURCE = 16;
/** Milliseconds that somebody is looked for on the network by name. */
export const LOOK_MS = 1_500;
/** Milliseconds that others have to announce a new name, too. */
export const RIVALS_MS = 500;

// What this implementation chooses.

/**
 * Bytes that the window of what people type may grow to: what is under way when a chat gets a limit
 * is little, and a reader that is held to it still grants some every few seconds.
 */
export const MAX_URGENT_WINDOW_BYTES = 524_288;
/** Bytes in one write of file data: whole session frames. */
export const SLAB_BYTES = 4 * MAX_PAYLOAD_BYTES;
/** Writes of file data that a sender holds until they are acknowledged. */
export const MAX_SLABS = 96;
/** Bytes of a file that are read or written at a time on the disk. */
export const DISK_BYTES = 262_144;
/** Files that are synchronised with the disk at once. */
export const SYNC_LANES = 32;
/**
 * Files that are held open to be synchronised one by one; from so many on, small ones are closed
 * and synchronised together. Must leave descriptors for the rest of the program.
 */
export const SYNC_TOGETHER_FILES = 64;
/** Files, and bytes of them, that are synchronised together at most. */
export const SYNC_BATCH_FILES = 16_384;
export const SYNC_BATCH_BYTES = 64 * 1_048_576;
/** Milliseconds after which the next file ends a batch. */
export const SYNC_BATCH_MS = 3_000;
/** Milliseconds until synchronising a whole file system is given up, and its files are one by one. */
export const SYNC_DEADLINE_MS = 10_000;
/** Bytes that a receiver leaves free on the disk. */
export const DISK_RESERVE_BYTES = 4 * 1_048_576;
/**
 * Milliseconds that the other side has to notice a REFUSE or an ABORT before the stream is reset.
 */
export const DRAIN_TIMEOUT_MS = 5_000;

/** Bytes of files from which on a connection of their own is worth its handshake. */
export const BULK_BYTES = 32 * 1_048_576;
/** Milliseconds for preface and handshake. */
export const HANDSHAKE_TIMEOUT_MS = 10_000;
/** Milliseconds for one attempt to dial. */
export const DIAL_TIMEOUT_MS = 10_000;
/** Milliseconds without a byte after which a PING goes out. */
export const PING_AFTER_MS = 8_000;
/** Milliseconds without a byte after which a connection is given up. */
export const DEAD_AFTER_MS = 20_000;
/** Milliseconds that a session lives without a connection. */
export const SESSION_HOLD_MS = 60_000;
/** Milliseconds to wait, at the end, for the other side to acknowledge everything. */
export const FLUSH_TIMEOUT_MS = 5_000;
/** Milliseconds to wait for the other side's GOODBYE. */
export const GOODBYE_TIMEOUT_MS = 1_000;
/** Authors of whom only others have told with which key they sign. */
export const MAX_HEARSAY = 512;
/** Milliseconds that a member of a mesh who is connected may take nothing. */
export const STUCK_AFTER_MS = 60_000;
/** Milliseconds at the limit of what is taken of it after which the user is told of a member. */
export const FLOOD_TOLD_AFTER_MS = 10_000;
/** Milliseconds at that limit after which a member is sent away. */
export const FLOOD_ENDED_AFTER_MS = 30_000;
/**
 * Units that a member may have said before it knew of others, or while it had no connection: of
 * lines, about what a window holds, and a stream ahead of it.
 */
export const FLOOD_EXCUSED_UNITS = 4_096;
/** Milliseconds that the last lines of others are handed on for, when we have no more to say. */
export const LAST_HANDING_MS = 10_000;
/**
 * Lines of ours, and bytes of them, that a member may not have yet, when we go on to talk: no more
 * than go out in some seconds.
 */
export const MAX_BEHIND_LINES = 1_024;
export const MAX_BEHIND_BYTES = 1_048_576;
/** Milliseconds between two MEMBERS to a member. */
export const MEMBERS_GAP_MS = 200;
/** Milliseconds between two looks at what a mesh need not remember any more. */
export const MESH_SWEEP_MS = 5_000;
/** Milliseconds that the members of the last chat are looked for by whoever does not wait for them. */
export const REJOIN_MS = 15_000;
/** Connections that a listener has in their handshake at once. */
export const MAX_HANDSHAKES = 64;
/**
 * Connections that have stalled on their way into TLS, after which a listener begins TLS no more: the
 * runtime keeps each until the other side closes it.
 */
export const MAX_STALLED_TLS = 16;
/** Sessions that a listener serves at once. */
export const MAX_SESSIONS = 256;
/** Members that are dialled at once. */
export const MAX_MEMBER_DIALS = 8;
/** Of these, so many are for those never met alone, and so many for those who stayed for a minute. */
export const RESERVED_MEMBER_DIALS = 2;
/** Milliseconds that somebody who dialled us has to come back by itself before we dial it. */
export const DIAL_AWAY_AFTER_MS = 5_000;
/** Members never met that are dialled because one and the same member tells of them. */
export const MAX_UNMET_PER_TELLER = 32;
/** Members that are kept in mind to be dialled. */
export const MAX_DIAL_CANDIDATES = 512;
/** Members of which it is kept on disk that they were here. */
export const MAX_REMEMBERED_MEMBERS = 256;
/** Milliseconds that a member stays before it is not among the first to be forgotten. */
export const SETTLED_AFTER_MS = 60_000;
