/** Servers at the addresses of a configuration. */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { SpareError } from '../errors.ts';
import type { Address } from './settings.ts';

/** Resolves with the address that was taken. `key` names it in the configuration. Throws `SpareError` address-*. */
export function bind(server: Server, key: string, { host, port }: Address): Promise<Address> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const inUse = error.code === 'EADDRINUSE';
      const message = inUse
        ? `The address ${host}:${port} (\`${key}\`) is in use.`
        : `Cannot listen on ${host}:${port} (\`${key}\`): ${error.message}.`;
      const hint = inUse
        ? `End what listens there, or choose another address with --${key}.`
        : `Choose an address of this host, and a port that you may use, with --${key}.`;
      reject(new SpareError(inUse ? 'address-in-use' : 'address-invalid', message, { hint, cause: error }));
    });
    server.listen(port, host, () => {
      const address = server.address();
      resolve({ host, port: typeof address === 'object' && address !== null ? address.port : port });
    });
  });
}

export function addressUrl({ host, port }: Address): string {
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** Cuts all connections; may be called twice. */
export function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

/** The longest that requests in work may take once the server is to end. */
const PATIENCE_MS = 3000;
const POLL_MS = 20;

/**
 * Keeps track of a server's requests. What it returns lets nobody in any more, waits until those in work are answered, for as
 * long as its patience lasts and `atOnce` is not aborted, and cuts all connections then.
 */
export function endsGently(server: Server): (atOnce: AbortSignal) => Promise<void> {
  const inWork = new Set<ServerResponse>();
  for (const event of ['request', 'checkContinue'] as const)
    server.on(event, (_request: IncomingMessage, response: ServerResponse) => {
      inWork.add(response);
      response.once('close', () => inWork.delete(response));
      // Of those that were connected and had not asked yet.
      if (!server.listening) response.shouldKeepAlive = false;
    });
  return async (atOnce) => {
    server.close();
    for (const response of inWork) response.shouldKeepAlive = false;
    const end = AbortSignal.any([atOnce, AbortSignal.timeout(PATIENCE_MS)]);
    while (inWork.size > 0 && !end.aborted) await delay(POLL_MS);
    await closeServer(server);
  };
}
