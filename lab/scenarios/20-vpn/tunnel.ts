import { dlopen, ptr } from "bun:ffi";
import { openSync, read, writeSync } from "node:fs";

// bun tunnel.ts NAME LOCAL-PORT PEER PORT: an interface NAME whose packets travel in datagrams to the peer, unencrypted: a VPN as far as routing goes.

const TUNSETIFF = 0x400454ca;
/** IFF_TUN | IFF_NO_PI */
const FLAGS = 0x1001;
const [name = "", localPort = "", peer = "", peerPort = ""] = process.argv.slice(2);

const { symbols } = dlopen("libc.so.6", { ioctl: { args: ["i32", "u64", "ptr"], returns: "i32" } });
// ip tuntap add NAME mode tun
const device = openSync("/dev/net/tun", "r+");
const request = Buffer.alloc(40);
request.write(name, "latin1");
request.writeUInt16LE(FLAGS, 16);
if (symbols.ioctl(device, TUNSETIFF, ptr(request)) < 0) throw new Error(`cannot make interface ${name}`);

const socket = await Bun.udpSocket({
	hostname: "0.0.0.0",
	port: Number(localPort),
	socket: {
		// The other end is not there yet: lost.
		error() {},
		data(_, packet) {
			try {
				writeSync(device, packet);
			} catch {
				// down, or no packet: lost, as on any way
			}
		},
	},
});

const buffer = Buffer.alloc(65536);
const next = () =>
	read(device, buffer, 0, buffer.length, null, (error, length) => {
		if (error) return void setTimeout(next, 10);
		try {
			socket.send(buffer.subarray(0, length), Number(peerPort), peer);
		} catch {
			// The other end is not there yet: lost.
		}
		next();
	});
next();
