/**
 * The admin API: what the group is doing, for operators and their tools. Reads only.
 *
 * `GET /status`, `GET /incidents`, `GET /livez` (the manager runs), `GET /readyz` (the group answers requests).
 */
import { createServer, type Server } from 'node:http';
import type { CoreView } from '../core/index.ts';
import type { Incident } from '../evidence/incidents.ts';

export interface ReplicaStatus {
  readonly id: string;
  readonly variant: number;
  readonly role: 'active' | 'passive';
  readonly state: 'starting' | 'running' | 'suspended';
  /** The last entry that is in its state. */
  readonly applied: number;
  /** As seen from the host; null while its domain starts. */
  readonly pid: number | null;
  readonly isolation: string;
  readonly cpuSeconds: number;
  readonly residentBytes: number;
}

export interface Status {
  readonly faults: number;
  readonly ordered: number;
  readonly decided: number;
  readonly replicas: readonly ReplicaStatus[];
  readonly updateLog: CoreView['updateLog'];
  readonly incidents: number;
}

export interface AdminSource {
  readonly status: () => Promise<Status>;
  readonly incidents: () => readonly Incident[];
  readonly ready: () => boolean;
}

interface AdminReply {
  readonly status: number;
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

async function answer(source: AdminSource, path: string): Promise<AdminReply> {
  switch (path) {
    case '/status':
      return { status: 200, body: await source.status() };
    case '/incidents':
      return { status: 200, body: source.incidents() };
    case '/livez':
      return { status: 200, body: { live: true } };
    case '/readyz':
      return { status: source.ready() ? 200 : 503, body: { ready: source.ready() } };
    default:
      return {
        status: 404,
        body: { error: `There is no ${path}; see /status, /incidents, /livez, /readyz.` },
      };
  }
}

export function createAdmin(source: AdminSource): Server {
  return createServer((request, response) => {
    const path = (request.url ?? '/').replace(/\?.*$/, '');
    const send = ({ status, body, headers = {} }: AdminReply): void => {
      const text = `${JSON.stringify(body, null, 2)}\n`;
      response.writeHead(status, {
        ...headers,
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(text),
      });
      response.end(request.method === 'HEAD' ? undefined : text);
    };
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      return send({ status: 405, body: { error: 'Only GET and HEAD.' }, headers: { allow: 'GET, HEAD' } });
    }
    void answer(source, path).then(send, (error: unknown) =>
      send({ status: 500, body: { error: String(error) } }),
    );
  });
}
