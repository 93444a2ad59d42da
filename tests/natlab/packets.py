"""Packets of the NAT laboratory, from a host's own device.

watch DEVICE    prints one line for each IPv4 packet: seconds, in or out, udp or tcp, from, to,
                bytes of payload, its first byte, flags of TCP
spray DEVICE    to both ends of each probe that passes by: the same bytes again, a bit of them
                changed, and random ones of the same shape, all from an address of its own; prints
                one line for each probe

Both print "ready" first.
"""
import os, socket, struct, sys

PROBES = (0x11, 0x12, 0x13)
SO_TIMESTAMPNS = 35
OUTGOING = 4


def packets(device):
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0003))
    tap.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    tap.bind((device, 0))
    print("ready", flush=True)
    while True:
        frame, ancillary, _, (_, _, kind, *_) = tap.recvmsg(65536, 64)
        seconds, nanoseconds = struct.unpack("qq", ancillary[0][2])
        at = seconds + nanoseconds / 1e9
        packet = frame[14:]
        if frame[12:14] != b"\x08\x00" or packet[9] not in (6, 17):
            continue
        body = packet[(packet[0] & 15) * 4 : struct.unpack("!H", packet[2:4])[0]]
        ports = struct.unpack("!HH", body[:4])
        ends = [(socket.inet_ntoa(packet[at_ : at_ + 4]), port) for at_, port in zip((12, 16), ports)]
        tcp = packet[9] == 6
        payload = body[(body[12] >> 4) * 4 :] if tcp else body[8:]
        yield at, kind == OUTGOING, tcp, *ends, payload, body[13] if tcp else 0


def watch(device):
    for at, out, tcp, source, target, payload, flags in packets(device):
        first = "%02x" % payload[0] if payload else "-"
        words = ["%.6f" % at, "out" if out else "in", "tcp" if tcp else "udp", "%s:%d" % source]
        print(*words, "%s:%d" % target, len(payload), first, flags, flush=True)


def spray(device):
    own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    own.bind(("", 0))
    for _, _, tcp, source, target, payload, _ in packets(device):
        if tcp or not payload or payload[0] not in PROBES or own.getsockname()[1] in (source[1], target[1]):
            continue
        changed = bytearray(payload)
        changed[-1] ^= 1
        for forged in (payload, changed, payload[:2] + os.urandom(len(payload) - 2)):
            for end in (source, target):
                own.sendto(forged, end)
        print("probe %02x" % payload[0], flush=True)


{"watch": watch, "spray": spray}[sys.argv[1]](sys.argv[2])
