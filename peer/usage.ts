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
       p2p listen           wait for peers: chat, and receive files
       p2p connect ADDRESS  join a peer that listens
       p2p send --address ADDRESS --file PATH
                            send files and folders to a peer that listens
       p2p forget NAME      drop a peer's known key, if it changed for a reason

p2p COMMAND --help tells all about a command. p2p --version prints the version.

Whoever listens needs a port that the other can reach. When two peers first
meet, each keeps the other's key; a key that changes later is refused.

Files arrive under their own names only when they are whole. A transfer that
broke off goes on where it was, when the same file is sent again.

Exit codes:
  0    done
  1    failed
  2    the command line is wrong
  3    the other side refused
  4    the peer could not be reached, was lost, or does not speak p2p
  5    the peer's key is not the one that was expected
  6    a file or folder of this machine cannot be read or written
  130  interrupted

Environment:
  P2P_NAME         the name that others see, if --name is not given
  P2P_DEBUG        if it is 1, errors show where in the program they came from
  XDG_CONFIG_HOME  the folder in which p2p/ keeps your key and known peers
  NO_COLOR         if it is set, nothing is coloured

Standard output carries chat lines, or with --json one event a line; all else
goes to standard error.

Examples:
  Alice waits for others, on port 8080:
    p2p listen
  Bob joins her to chat:
    p2p connect 192.168.1.20:8080
  Bob sends her a film:
    p2p send --address 192.168.1.20:8080 --file film.mkv
`;

const CHAT = `\
In the chat every typed line goes to all peers, except:
  /send PATH   send a file or folder
  /l           list who is here
  /p           show peers' addresses, fingerprints and paths
  /nick NAME   go by another name
  /help        list these commands
  /quit        leave; Ctrl-D does the same
`;

const LISTEN = `\
Wait for any number of peers: chat with them, and receive files.

Usage: p2p listen [FLAGS]

  --port PORT      port to listen on; 0 picks a free one (default: 8080)
  --host ADDR      listen on this address of the machine only (default: all)
  --name NAME      name that others see (default: P2P_NAME, or your user name
                   and a piece of your key's fingerprint)
  --dir DIR        folder for received files (default: the current one)
  --yes            accept every file without asking
  --conflict MODE  if a file exists already: ask, skip, rename or overwrite
                   (default: ask on a terminal, else rename)
  --stdout         write what a peer sends from its standard input to standard
                   output, and nothing else there
  --once           end after the first peer's session or transfer
  --plain          chat with anything that speaks lines of text, such as nc:
                   NOT ENCRYPTED, no files
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
`;

const CONNECT = `\
Join a peer that listens: chat, and send and receive files.

Usage: p2p connect ADDRESS [FLAGS]

ADDRESS is 1.2.3.4:8080, [::1]:8080 or host.example:8080.

  --name NAME      name that others see (default: P2P_NAME, or your user name
                   and a piece of your key's fingerprint)
  --dir DIR        folder for received files (default: the current one)
  --yes            accept every file without asking
  --conflict MODE  if a file exists already: ask, skip, rename or overwrite
                   (default: ask on a terminal, else rename)
  --plain          speak plain lines of text, as nc does: NOT ENCRYPTED
  --json           print events on standard output, one JSON object a line
  --quiet          say nothing but chat, warnings and errors
  --help           print this

${CHAT}
The end of standard input ends the chat, when all of it has been delivered.

Examples:
  Chat:
    p2p connect 192.168.1.20:8080
  Say one line from a script:
    echo "Backup done" | p2p connect server.example:8080 --name backup
`;

const SEND = `\
Send files and folders to a peer that listens.

Usage: p2p send --address ADDRESS --file PATH [--file PATH]... [PATH]...

ADDRESS is 1.2.3.4:8080, [::1]:8080 or host.example:8080. A PATH may be a
folder; "-" is standard input, for a peer that runs p2p listen --stdout.

  --address ADDRESS  the peer
  --file PATH        what to send; may be repeated
  --name NAME        name that the peer sees (default: P2P_NAME, or your user
                     name and a piece of your key's fingerprint)
  --json             print events on standard output, one JSON object a line
  --quiet            say nothing but warnings and errors
  --help             print this

It exits with 0 when the peer has confirmed that all it wanted is on its disk.
If it breaks off, run it again: what has arrived is not sent twice.

Examples:
  Send a film:
    p2p send --address 192.168.1.20:8080 --file film.mkv
  Send a folder and all pictures:
    p2p send --address host.example:8080 --file album -- *.jpg
  Send what another program writes:
    tar c album | p2p send --address 192.168.1.20:8080 --file -
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
  forget: FORGET,
};
