/** Servers at the addresses of a configuration. */
import type { Server } from 'node:http';
import { SpareError } from '../errors.ts';
import type { Address } from './config.ts';

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
