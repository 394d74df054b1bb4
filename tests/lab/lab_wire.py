"""What goes over the hosts' network: run in its namespace, with a text to look for and seconds.

Prints, as JSON, the ports to or from which a packet had that text in it.
"""

import json
import socket
import sys
import time

ETHERNET, ALL = 14, 3  # octets of its header; every protocol


def ports(packet: bytes) -> list[int]:
    """Source and destination port of a TCP packet over IPv4; none of another."""
    ip = packet[ETHERNET:]
    if packet[12:14] != b"\x08\x00" or ip[9] != socket.IPPROTO_TCP:
        return []
    tcp = ip[(ip[0] & 15) * 4 :]
    return [int.from_bytes(tcp[0:2]), int.from_bytes(tcp[2:4])]


def main() -> None:
    """Listen on every port of the bridge: what goes from host to host passes two of them."""
    text, ends = sys.argv[1].encode(), time.monotonic() + float(sys.argv[2])
    seen: set[int] = set()
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL)) as wire:
        wire.settimeout(0.2)
        sys.stdout.write("listening\n")
        sys.stdout.flush()
        while time.monotonic() < ends:
            try:
                packet = wire.recv(1 << 16)
            except TimeoutError:
                continue
            if text in packet:
                seen.update(ports(packet))
    sys.stdout.write(f"{json.dumps(sorted(seen))}\n")


if __name__ == "__main__":
    main()
