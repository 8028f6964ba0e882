// A certified third-party identity provider (npm: oidc-provider) on its own loopback port.
//
// argv: the JSON list of clients. When ready, the server prints one JSON line {"issuer"}. Every line on stdin
// creates or updates a user, {"sub", "name", "email", "email_verified", "groups"}; the server acknowledges it
// with a line. It ends when stdin is closed.

import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { Provider } from 'oidc-provider';

// Notices about development features go to stderr, because stdout carries the JSON lines.
console.info = console.warn = console.error;
const answer = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);

const people = new Map();

function signingKey(type, options, alg) {
  const { privateKey } = generateKeyPairSync(type, options);
  return { ...privateKey.export({ format: 'jwk' }), alg, use: 'sig', kid: alg };
}

const server = createServer();
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  clients: JSON.parse(process.argv[2]),
  jwks: {
    keys: [
      signingKey('ec', { namedCurve: 'P-256' }, 'ES256'),
      signingKey('rsa', { modulusLength: 2048 }, 'RS256'),
    ],
  },
  cookies: { keys: ['only for tests'] },
  claims: { openid: ['sub'], profile: ['name', 'groups'], email: ['email', 'email_verified'] },
  pkce: { required: () => true },
  features: { devInteractions: { enabled: true }, backchannelLogout: { enabled: true } },
  // The default dispatcher refuses loopback addresses, which these tests use.
  fetch: (url, options) => {
    delete options.dispatcher;
    return fetch(url, options);
  },
  findAccount: (_context, sub) => people.has(sub) && { accountId: sub, claims: () => people.get(sub) },
});
server.on('request', provider.callback());
answer({ issuer });

for await (const line of createInterface({ input: process.stdin })) {
  const person = JSON.parse(line);
  people.set(person.sub, person);
  answer({ sub: person.sub });
}
server.close();
server.closeAllConnections();
