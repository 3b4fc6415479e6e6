"""One TCP stream: `tcp_stream.py receive PORT` prints the Gbit/s that came, `tcp_stream.py send HOST PORT SECONDS`."""
import socket
import sys
import time

BLOCK = 256 * 1024


def receive(port):
    listener = socket.create_server(("", port))
    print("listening", flush=True)
    connection, _ = listener.accept()
    buffer = bytearray(1024 * 1024)
    received = 0
    begin = time.monotonic()
    while size := connection.recv_into(buffer):
        received += size
    print(f"{received * 8 / (time.monotonic() - begin) / 1e9:.4f}")


def send(host, port, seconds):
    connection = socket.create_connection((host, port))
    block = bytes(BLOCK)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        connection.sendall(block)


if __name__ == "__main__":
    if sys.argv[1] == "receive":
        receive(int(sys.argv[2]))
    else:
        send(sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
