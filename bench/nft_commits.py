"""Prints the time, by the monotonic clock, of each commit to nftables in this network namespace."""
import socket
import struct
import time

NETLINK_NETFILTER = 12
SOL_NETLINK, NETLINK_ADD_MEMBERSHIP = 270, 1
NFNLGRP_NFTABLES = 7
SO_RCVBUFFORCE = 33
NEWGEN = 10 << 8 | 15  # the last message of a commit

with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as events:
    events.bind((0, 0))
    events.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)  # a whole table comes at once
    events.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, NFNLGRP_NFTABLES)
    print("ready", flush=True)
    while True:
        datagram = events.recv(1 << 20)
        now = time.monotonic()
        while len(datagram) >= 16:
            length, kind = struct.unpack_from("IH", datagram)
            if kind == NEWGEN:
                print(now, flush=True)
            datagram = datagram[(length + 3) & ~3:]
