// Answers what the request asks for, and tells in X-Saw what came. X-Reply is JSON in base64: { status, headers, body, chunked };
// X-Saw is JSON in base64, too. Says on which port it listens. State: none.
import { createServer } from 'node:http';

const server = createServer((request, response) => {
  let seen = '';
  request.setEncoding('latin1').on('data', (piece) => (seen += piece));
  request.on('end', () => {
    const { method, url, rawHeaders } = request;
    const { status, headers, body, chunked } = JSON.parse(Buffer.from(request.headers['x-reply'], 'base64'));
    const saw = Buffer.from(JSON.stringify({ method, url, headers: rawHeaders, body: seen })).toString(
      'base64',
    );
    const length = chunked || status === 204 ? [] : ['Content-Length', String(body.length)];
    response.writeHead(status, ['X-Saw', saw, ...headers, ...length]);
    response.write(body.slice(0, 10), 'latin1');
    response.end(body.slice(10), 'latin1');
  });
});
server.listen(process.env.PORT, '127.0.0.1', () => console.log(server.address().port));
