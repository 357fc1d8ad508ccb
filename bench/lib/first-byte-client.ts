import { act, createContainer } from "./engine.ts";
import { connect } from "./http.ts";

// bun first-byte-client.ts SOCKET: creates and starts a web server with a published port, asks it until the first byte comes, prints the ms.

const GIVE_UP_AFTER_MS = 20_000;

/** Whether an HTTP request to the port got a first byte. */
function firstByte(port: number): Promise<boolean> {
	const { promise, resolve } = Promise.withResolvers<boolean>();
	const handlers = {
		open: (socket: Bun.Socket) => void socket.write("GET / HTTP/1.0\r\n\r\n"),
		data: (socket: Bun.Socket) => {
			resolve(true);
			socket.end();
		},
		close: () => resolve(false),
		error: () => resolve(false),
		connectError: () => resolve(false),
	};
	Bun.connect({ hostname: "127.0.0.1", port, socket: handlers }).catch(() => resolve(false));
	return promise;
}

async function main(socket: string): Promise<void> {
	const connection = await connect(socket);
	const port = 20_000 + Math.floor(Math.random() * 10_000);
	const hostConfig = { PortBindings: { "80/tcp": [{ HostIp: "127.0.0.1", HostPort: String(port) }] } };
	const begin = performance.now();
	const id = await createContainer(connection, { image: "hello", hostConfig });
	try {
		await act(connection, "POST", `/containers/${id}/start`);
		while (!(await firstByte(port))) {
			if (performance.now() - begin > GIVE_UP_AFTER_MS) throw new Error(`port ${port} gave no byte`);
			await Bun.sleep(1);
		}
		console.log(performance.now() - begin);
	} finally {
		await act(connection, "DELETE", `/containers/${id}?force=1&v=1`);
		connection.close();
	}
}

await main(process.argv[2] ?? "");
