/**
 * What a listener tells whoever does not speak as it does: a person with nc, a browser, a p2p
 * started with --plain. One line.
 */
export const ADVICE = "This is p2p, and encrypted. Connect with: p2p connect HOST:PORT";
