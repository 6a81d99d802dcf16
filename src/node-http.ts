/**
 * `node:http`, of which the parts are taken that are used. An `import` reads all that it offers, and so loads a WebSocket client
 * as well: that takes longer than the rest of Node's start, in the manager and in every domain.
 */
import type * as Http from 'node:http';
import { getBuiltinModule } from 'node:process';

const http: typeof Http = getBuiltinModule('node:http');

export const createServer: typeof http.createServer = http.createServer;
export const request: typeof http.request = http.request;
