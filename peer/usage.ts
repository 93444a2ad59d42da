/**
 * What `--help` prints: one literal text for the program and one for each command, each ending in
 * examples.
 */
import type { CommandName } from "./args.ts";

/** The help of the program, or of one command. Ends with a newline. */
export function usage(command?: CommandName): string {
  return command === undefined ? PROGRAM : TEXTS[command];
}

const PROGRAM = `\
Chat and send files straight between two machines, encrypted end to end.

Usage: p2p                  ask for an address to connect to, or listen
       p2p listen           wait for peers: chat, and receive files; p2p FLAGS,
                            without a command, is the same
       p2p connect ADDRESS  join a peer that listens
       p2p send --address ADDRESS --file PATH
                            send files and folders to a peer that listens
       p2p punch --relay ADDRESS --name NAME [--to NAME]
                            listen and connect in one: be found by name, and
                            find others
       p2p relay            be where peers meet by name, and relay for those
                            that cannot reach each other
       p2p peers            list who announces itself on this network
       p2p doctor           tell what this machine's network lets through
       p2p history          show, export or delete what was said in chats
       p2p forget NAME      drop a peer's known key, if it changed for a reason

p2p COMMAND --help tells all about a command. p2p --version prints the version.

Whoever listens needs a port that the other can reach, or a relay that both
can: by name, peers get straight to each other wherever their NATs let them, and
through the relay, which sees only ciphertext, where they do not. On one network
who listens with --announce is found without a relay. When two peers first meet,
each keeps the other's key; a key that changes later is refused.

Files arrive under their own names only when they are whole. A transfer that
broke off goes on where it was, when the same file is sent again.

Exit codes:
  0    done
  1    failed
  2    the command line is wrong
  3    the other side refused, or the relay
  4    peer or relay could not be reached, was lost, or does not speak p2p
  5    the peer's or relay's key is not the one that was expected
  6    a file or folder of this machine cannot be read or written
  130  interrupted

Environment:
  P2P_NAME            the name that others see, if --name is not given
  P2P_RELAY           the relay, if --relay is not given
  P2P_RELAY_PASSWORD  the relay's password, if --password-file is not given
  P2P_NO_HISTORY      if it is 1, chats are not kept
  P2P_NO_NEARBY       if it is 1, names are not looked for on this network
  P2P_DEBUG           if it is 1, errors show where they came from
  XDG_CONFIG_HOME     the folder in which p2p/ keeps your key and known peers
  XDG_DATA_HOME       the folder in which p2p/ keeps the history of chats
  NO_COLOR            if it is set, nothing is coloured

Standard output carries chat lines and what doctor found, or with --json one
event a line; all else goes to standard error.

Examples:
  Alice waits for others, on port 8080:
    p2p listen
  Bob joins her to chat:
    p2p connect 192.168.1.20:8080
  Bob sends her a film:
    p2p send --address 192.168.1.20:8080 --file film.mkv
  Anywhere, by name, through a relay at host.example:
    p2p listen --relay host.example:8080 --name alice
    p2p connect alice --relay host.example:8080
`;

const CHAT = `\
Whoever joins one of those who chat is told of the others and connects to each:
nobody is in the middle, and the chat goes on whoever leaves. What is said while
somebody is lost reaches them if they are back within an hour.

In the chat every typed line goes to all who are here, except:
  /msg NAME TEXT     say a line to one alone
  /send [NAME] PATH  send a file or folder, to all or to one
  /history [N]       show the last lines (default: 20) with those who are here
  /l                 list who is here
  /p                 show who they are, where they listen, and the paths
  /nick NAME         go by another name
  /kick NAME [WORDS] send somebody away, and let their key in no more
  /help              list these commands
  /quit              leave; Ctrl-D does the same
Tab completes commands, names and paths.
With --plain there is only /quit, and in listen and connect /l and /p.
What is said and which files came and went is kept on this machine, readable by
you alone: see p2p history --help. --no-history does without.
`;

const LISTEN = `\
Wait for any number of peers: chat with them, and receive files.

Usage: p2p listen [FLAGS]

  --port PORT      port to listen on; 0 picks a free one (default: 8080)
  --host ADDR      listen on this address of the machine only (default: all)
  --peer ADDRESS   also join the peer that listens there; may be repeated
  --rejoin         also look for those of the last chats, as long as it takes
  --name NAME      name that others see (default: P2P_NAME, or your user name
                   and a piece of your key's fingerprint); also: --uname NAME
  --dir DIR        folder for received files (default: the current one)
  --yes            accept every file without asking
  --conflict MODE  if a file exists already: ask, skip, rename or overwrite
                   (default: ask on a terminal, else rename)
  --stdout         write what a peer sends from its standard input to standard
                   output, and nothing else there
  --once           end after the first peer's session or transfer
  --announce       tell everybody on this network your name, key and port, so
                   that they find you without a relay: see p2p peers
  --relay ADDRESS  also be found by your name at this relay, from behind NATs,
                   too: host:port, or host:port#KEY as p2p relay prints it
                   (default: P2P_RELAY)
  --relay-only     let those who come by name come through the relay only, even
                   where a straight way could be found
  --password-file FILE
                   file with the relay's password (default: P2P_RELAY_PASSWORD)
  --plain          chat with anything that speaks lines of text, such as nc,
                   and with --uname or --peer in a mesh of programs that say
                   JOIN and PEERS: NOT ENCRYPTED, no files
  --no-history     keep nothing of what is said (default: see p2p history)
  --json           print events on standard output, one JSON object a line
  --quiet          say nothing but chat, warnings and errors
  --help           print this

${CHAT}
Examples:
  Chat, and be asked about each file:
    p2p listen
  Receive into a folder without being asked, on any free port:
    p2p listen --port 0 --dir ~/Downloads --yes
  Receive one stream and unpack it as it comes:
    p2p listen --once --stdout | tar x
  Be found as alice by everybody on this network:
    p2p listen --name alice --announce
  Be reachable as alice, from anywhere:
    p2p listen --name alice --relay host.example:8080
  Bob joins the two who chat where alice listens, and lets others join, too:
    p2p listen --port 8081 --peer 192.168.1.20:8080 --name bob
  Join a mesh of plain programs, in the clear:
    p2p --plain --port 8081 --peer 127.0.0.1:8080 --uname Bob
`;

const CONNECT = `\
Join a peer that listens: chat, and send and receive files.

Usage: p2p connect ADDRESS [FLAGS]
       p2p connect NAME [--relay ADDRESS] [FLAGS]
       p2p connect [FLAGS]

Without ADDRESS, those of the last chats are looked for. ADDRESS is
1.2.3.4:8080, [::1]:8080 or host.example:8080. NAME is what the peer calls
itself at the relay; bytes go straight wherever the NATs let them, and through
the relay, encrypted, where they do not. Or it is what the peer
announces on this network: p2p peers lists those who do.

  --relay ADDRESS  relay at which the peer is found: host:port, or host:port#KEY
                   as p2p relay prints it (default: P2P_RELAY)
  --relay-only     go through the relay, even where a straight way could be
                   found
  --password-file FILE
                   file with the relay's password (default: P2P_RELAY_PASSWORD)
  --name NAME      name that others see (default: P2P_NAME, or your user name
                   and a piece of your key's fingerprint); also: --uname NAME
  --dir DIR        folder for received files (default: the current one)
  --yes            accept every file without asking
  --conflict MODE  if a file exists already: ask, skip, rename or overwrite
                   (default: ask on a terminal, else rename)
  --port PORT      port to listen on for the others of the chat (default: any
                   free one)
  --host ADDR      listen on this address of the machine only (default: all)
  --no-listen      do not listen: the others are joined by dialling them only
  --plain          speak plain lines of text, as nc does, and with --uname or
                   --port in a mesh of programs that say JOIN and PEERS: NOT
                   ENCRYPTED
  --no-history     keep nothing of what is said (default: see p2p history)
  --json           print events on standard output, one JSON object a line
  --quiet          say nothing but chat, warnings and errors
  --help           print this

${CHAT}
The end of standard input ends the chat, when all of it has been delivered.

Examples:
  Chat:
    p2p connect 192.168.1.20:8080
  Chat with alice, who runs p2p listen --announce on this network:
    p2p connect alice
  Chat with alice, wherever she is:
    p2p connect alice --relay host.example:8080
  Say one line from a script:
    echo "Backup done" | p2p connect server.example:8080 --name backup
`;

const SEND = `\
Send files and folders to a peer that listens.

Usage: p2p send --address ADDRESS --file PATH [--file PATH]... [PATH]...
       p2p send --to NAME [--relay ADDRESS] --file PATH ...

ADDRESS is 1.2.3.4:8080, [::1]:8080 or host.example:8080. By NAME, bytes go
straight wherever the NATs let them, and through the relay, encrypted, where
they do not. A PATH may be a folder; "-" is standard input, for a peer that runs
p2p listen --stdout.

  --address ADDRESS  the peer
  --to NAME          the peer, by its name at a relay or on this network
  --relay ADDRESS    relay at which the peer is found: host:port, or
                     host:port#KEY as p2p relay prints it (default: P2P_RELAY)
  --relay-only       go through the relay, even where a straight way could be
                     found
  --password-file FILE
                     file with the relay's password (default:
                     P2P_RELAY_PASSWORD)
  --file PATH        what to send; may be repeated
  --name NAME        name that the peer sees (default: P2P_NAME, or your user
                     name and a piece of your key's fingerprint); also: --uname
                     NAME
  --json             print events on standard output, one JSON object a line
  --quiet            say nothing but warnings and errors
  --help             print this

It exits with 0 when the peer has confirmed that all it wanted is on its disk.
If it breaks off, run it again: what has arrived is not sent twice.

Examples:
  Send a film:
    p2p send --address 192.168.1.20:8080 --file film.mkv
  Send a film to alice, who runs p2p listen --announce on this network:
    p2p send --to alice --file film.mkv
  Send a film to alice, wherever she is:
    p2p send --to alice --relay host.example:8080 --file film.mkv
  Send a folder and all pictures:
    p2p send --address host.example:8080 --file album -- *.jpg
  Send what another program writes:
    tar c album | p2p send --address 192.168.1.20:8080 --file -
`;

const PUNCH = `\
Be found by your name at a relay, by peers behind other NATs, and find others
there: chat with them, and send and receive files. Bytes go straight wherever
the NATs let them, and through the relay, encrypted, where they do not.

Usage: p2p punch --relay ADDRESS [--name NAME] [--to NAME] [FLAGS]

Without --to it waits until somebody asks for you. With it, it joins the one of
that name, who waits with p2p punch or p2p listen at the same relay; whoever
asks for you meanwhile is let in, too. It ends when all have left.

  --relay ADDRESS  where peers meet: host:port, or host:port#KEY as p2p relay
                   prints it (default: P2P_RELAY)
  --name NAME      name that others see, and find you by (default: P2P_NAME, or
                   your user name and a piece of your key's fingerprint); also:
                   --uname NAME
  --to NAME        the name of the peer to join
  --port PORT      port to take connections on; with --plain a UDP port, else a
                   TCP port (default: any free one)
  --dir DIR        folder for received files (default: the current one)
  --yes            accept every file without asking
  --conflict MODE  if a file exists already: ask, skip, rename or overwrite
                   (default: ask on a terminal, else rename)
  --stdout         write what a peer sends from its standard input to standard
                   output, and nothing else there
  --once           end after the first peer's session or transfer
  --announce       tell everybody on this network your name, key and port, so
                   that they find you without a relay: see p2p peers
  --plain          speak Peer-Punch's protocol, UDP datagrams with lines of
                   text: NOT ENCRYPTED, no files, and lines may get lost
  --password-file FILE
                   file with the relay's password (default: P2P_RELAY_PASSWORD)
  --no-history     keep nothing of what is said (default: see p2p history)
  --json           print events on standard output, one JSON object a line
  --quiet          say nothing but chat, warnings and errors
  --help           print this

${CHAT}
With --to, the end of standard input ends the chat, when all of it has been
delivered.

Examples:
  Alice waits, at home behind her router:
    p2p punch --relay host.example:8080 --name alice
  Bob joins her, from behind his:
    p2p punch --relay host.example:8080 --name bob --to alice
  Chat with somebody who runs Peer-Punch, in the clear:
    p2p punch --plain --relay host.example:8080 --name bob --to carol
`;

const RELAY = `\
Be the place where peers meet by name, and through which those can talk that
cannot reach each other. It sees who is there and how much they send, never
what: all that it passes on is encrypted.

Usage: p2p relay [FLAGS]

One port, TCP and UDP: control sessions, circuits, HTTP (/, /health, /metrics,
WebSocket at /ws), STUN, and Peer-Punch's messages. A second one, UDP only, for
STUN: by what both see, peers learn how to get straight through their NATs.

  --port PORT      port, TCP and UDP; 0 picks a free one (default: 8080)
  --stun-port PORT
                   second UDP port; 0 picks a free one (default: the one after
                   --port, or a free one where that is taken)
  --host ADDR      use this address of the machine only (default: all)
  --password-file FILE
                   only for those who know the password in this file
                   (default: P2P_RELAY_PASSWORD; none: open to everyone)
  --max-connections N
                   TCP connections at once (default: what the limit of open
                   files leaves, at most 20000)
  --max-registrations N
                   names at once (default: 100000)
  --max-circuits N
                   circuits at once (default: 1000)
  --connections-per-address N
                   TCP connections of one IP address (default: 256)
  --registrations-per-address N
                   names of one IP address (default: 64)
  --rate N         messages and connections of one IP address per second
                   (default: 50)
  --circuit-rate BYTES
                   bytes per second through a circuit, each way, such as 10M
                   (default: unlimited)
  --max-message N  bytes in a message (default: 4096)
  --idle SECONDS   after which a circuit without traffic is closed
                   (default: 120)
  --drain SECONDS  that circuits may go on after SIGTERM (default: 30)
  --json           log events on standard output, one JSON object a line
  --quiet          say nothing but warnings and errors
  --help           print this

SIGTERM lets nobody new in and ends with 0 when the last circuit is over. A full
relay refuses newcomers, and tells them why; those that it serves it keeps.

Examples:
  A relay on port 8080:
    p2p relay
  One for friends, with at most 2 MB/s for each circuit:
    p2p relay --port 443 --password-file secret --circuit-rate 2M
`;

const DOCTOR = `\
Tell what this machine's network lets through: its addresses, whether and how
fast the relay is reached over TCP and UDP, what kind of NAT is in between, and
what to expect with each kind of peer.

Usage: p2p doctor [--relay ADDRESS] [--stun ADDRESS]... [FLAGS]

  --relay ADDRESS  relay to ask: host:port, or host:port#KEY as p2p relay prints
                   it (default: P2P_RELAY)
  --stun ADDRESS   STUN server to ask besides, or instead; may be repeated. How
                   a NAT maps takes a relay, or two servers (default port: 3478)
  --password-file FILE
                   file with the relay's password (default: P2P_RELAY_PASSWORD)
  --json           print an event on standard output, one JSON object
  --quiet          say nothing but the report, warnings and errors
  --help           print this

It ends with 4 if nothing can be reached, and with 3 or 5 if the relay is
reached, but does not want us, or has another key.

Examples:
  What to expect with a relay:
    p2p doctor --relay host.example:8080
  Without one, for a script:
    p2p doctor --stun stun.example --stun stun2.example:3479 --json
`;

const HISTORY = `\
Show what was said and which files came and went in the chats of p2p listen,
connect and punch: a line each, oldest first. Or delete it.

Usage: p2p history [--with NAME] [--since TIME] [--last N] [FLAGS]
       p2p history --clear [--with NAME]

  --with NAME   only with this peer: a name that it ever had, or its fingerprint
  --since TIME  only what came later: 2026-11-21, "2026-11-21 14:00", or how
                long ago it was, 30m, 12h, 7d, 4w
  --last N      only the last N of them
  --clear       delete all of it, or all with that peer; asks before it does
  --yes         do not ask
  --json        print events on standard output, one JSON object a line
  --quiet       say nothing but the history, warnings and errors
  --help        print this

It is kept in history.db in the folder p2p of XDG_DATA_HOME (default:
~/.local/share), which only you can read; on macOS in ~/Library/Application
Support/p2p, on Windows in %LOCALAPPDATA%\\p2p. It takes 64 MiB at most: then the
oldest lines of whoever has most of them go. Of a line 65,536 characters are
kept. Plain chat, and what p2p send sends, are not kept. What --clear deletes is
overwritten; what is being said meanwhile in a running chat is kept again. The
last hour of chats is in mesh.db, too, for the case that a program is killed.

Examples:
  What bob wrote this week:
    p2p history --with bob --since 7d
  All of it, for another program:
    p2p history --json
`;

const PEERS = `\
List who announces itself on this network: name, address to connect to, key
fingerprint, and whether the key is the one that is known under that name. All
of it is a claim; connecting proves the key, or refuses it.

Usage: p2p peers [FLAGS]

  --wait SECONDS  how long to listen for answers (default: 2)
  --json          print events on standard output, one JSON object a line
  --quiet         say nothing but the list, warnings and errors
  --help          print this

Whoever wants to be listed runs p2p listen --announce. It ends with 0, also if
there is nobody.

Examples:
  Who is here, and chat with one of them:
    p2p peers
    p2p connect alice
  The addresses, for a script:
    p2p peers --json --wait 5
`;

const FORGET = `\
Drop the key that is known for a peer. When you next meet, its key is kept anew:
do this only if you know why the key changed.

Usage: p2p forget NAME [FLAGS]

NAME is the peer's name, or the address at which it was reached.

  --json   print events on standard output, one JSON object a line
  --quiet  say nothing but warnings and errors
  --help   print this

Examples:
  Bob has a new laptop:
    p2p forget bob
  Another machine answers at that address now:
    p2p forget 192.168.1.20:8080
`;

const TEXTS: Readonly<Record<CommandName, string>> = {
  listen: LISTEN,
  connect: CONNECT,
  send: SEND,
  punch: PUNCH,
  relay: RELAY,
  doctor: DOCTOR,
  history: HISTORY,
  peers: PEERS,
  forget: FORGET,
};
