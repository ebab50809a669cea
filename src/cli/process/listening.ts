// What `helper` and `serve` have in common: the flags of a service.
import { CONNECTIONS, CONNECTIONS_PER_ADDRESS } from '../../net/access/gate.node.js'
import { Accounts, partOf } from '../../operate/limits.js'
import { Log } from '../../operate/log.js'
import type { ServiceOptions } from '../../operate/service.js'
import { JOINS_PER_SECOND } from '../../party/admission.js'
import type { HostOptions } from '../../party/options.js'
import { DEADLINE_FLAG, type FlagDefinitions, type Flags, seconds } from '../terminal/arguments.js'
import { nextCommand, painter } from '../terminal/terminal.js'

const SECONDS = { type: 'string', valueHint: 'SECONDS' } as const
const NUMBER = { type: 'string', valueHint: 'N' } as const
export const MEGABYTES = { type: 'string', valueHint: 'MB' } as const
const WEEK = 604_800
/** Of the two parties that can use more than one core. */
export const WORKERS = {
  ...NUMBER,
  range: [1, 256],
  description: 'cores to use: threads that deal, or processes that serve, each with every network (default 1)',
} as const

export const SERVICE_FLAGS = {
  listen: { type: 'string', valueHint: 'HOST:PORT', description: 'where to listen; port 0 picks a free one' },
  cert: { type: 'string', valueHint: 'FILE', description: 'TLS certificate chain, PEM; needed off this machine' },
  key: { type: 'string', valueHint: 'FILE', description: "the certificate's private key, PEM" },
  'behind-proxy': { type: 'boolean', description: 'a proxy in front ends TLS, and nobody else reaches this port' },
  tokens: { type: 'string', valueHint: 'FILE', description: 'who may connect: NAME SHA256 and limits on each line' },
  jwks: {
    type: 'string',
    valueHint: 'FILE|URL',
    description: "an identity provider's keys: bearers of its tokens may connect",
  },
  audience: { type: 'string', valueHint: 'TEXT', description: 'what those tokens have to name as their audience' },
  issuer: {
    type: 'string',
    valueHint: 'TEXT',
    description: 'who has to have issued them (default: anybody with the keys)',
  },
  origin: { type: 'string', valueHint: 'URL,…', description: 'pages that may connect (default: all)' },
  'metrics-listen': {
    type: 'string',
    valueHint: 'HOST:PORT',
    description: 'where to show /metrics, without TLS (default: where it listens, to callers on this machine)',
  },
  ...DEADLINE_FLAG,
  idle: { ...SECONDS, range: [1, WEEK], description: 'longest stay of a peer that asks for nothing (default 3600)' },
  unused: { ...SECONDS, range: [1, WEEK], description: 'the same, before it has asked for anything (default 60)' },
  'keep-alive': {
    ...SECONDS,
    range: [1, 3600],
    description: 'how often to ping; who is silent for three pings is gone (default 15)',
  },
  drain: {
    ...SECONDS,
    range: [0, 3600],
    description: 'longest time for those at work to finish when it is told to end (default 30)',
  },
  connections: { ...NUMBER, range: [1, 1_000_000], description: 'at a time, in all (default 4096)' },
  'connections-per-address': {
    ...NUMBER,
    range: [1, 1_000_000],
    description: 'at a time, from one address (default 1024)',
  },
  'joins-per-second': {
    ...NUMBER,
    range: [1, 10_000],
    description: 'clients that may join; others wait, then are told to come back (default 50)',
  },
  'max-message-mb': {
    ...MEGABYTES,
    range: [10, 1024],
    description: 'largest message that is accepted (default 16)',
  },
  'unfinished-mb': {
    ...MEGABYTES,
    range: [16, 4096],
    description: 'messages that have begun and not ended, of all connections together (default 256)',
  },
  banned: {
    type: 'string',
    valueHint: 'FILE',
    description: 'who is not let in, a name on each line; clients of a guarded plan that deviate are added',
  },
  log: { type: 'string', valueHint: 'FORMAT', description: 'text (default) or json, one line each' },
  quiet: { type: 'boolean', description: 'log only warnings and errors' },
  config: {
    type: 'string',
    valueHint: 'FILE',
    description: 'JSON with any of these flags; the command line goes before it',
  },
} as const satisfies FlagDefinitions

export type ServiceOrder = Omit<ServiceOptions, 'metrics'> & {
  /** For `Server.create` and `Helper.create`. */
  times: Pick<HostOptions, 'deadlineMs' | 'idleMs' | 'unusedMs' | 'joinsPerSecond'>
}

/** Which of how many processes. */
export interface Among {
  readonly number: number
  readonly count: number
}

/** Reads the flags above. Problems are left with `flags`. @param among bounds on people hold for all processes together */
export function readService(flags: Flags, defaultPort: number, among?: Among): ServiceOrder {
  const part = (limit: number) => partOf(limit, among?.count ?? 1)
  const address = parseAddress(flags, 'listen', defaultPort) ?? { host: '127.0.0.1', port: defaultPort }
  const [cert, key] = [flags.text('cert'), flags.text('key')]
  if ((cert === undefined) !== (key === undefined)) flags.fault('--cert and --key go together: give both or neither')
  const [keys, audience, issuer] = [flags.text('jwks'), flags.text('audience'), flags.text('issuer')]
  if (keys !== undefined && audience === undefined) {
    flags.fault('--jwks needs --audience, or tokens that were issued for other services would do')
  }
  if (keys === undefined && (audience ?? issuer) !== undefined) flags.fault('--audience and --issuer go with --jwks')
  const format = flags.oneOf('log', ['text', 'json']) ?? (flags.on('json') ? 'json' : 'text')
  return {
    listen: {
      ...address,
      behindProxy: flags.on('behind-proxy'),
      tls: cert && key ? { cert, key } : undefined,
      origins: origins(flags),
      keepAliveMs: seconds(flags, 'keep-alive'),
      connections: part(flags.integer('connections') ?? CONNECTIONS),
      connectionsPerAddress: part(flags.integer('connections-per-address') ?? CONNECTIONS_PER_ADDRESS),
      maxPayload: megabytes(flags, 'max-message-mb'),
      unfinishedBytes: megabytes(flags, 'unfinished-mb'),
    },
    door: {
      tokens: flags.text('tokens'),
      jwks: keys && audience ? { keys, audience, issuer } : undefined,
      banned: flags.text('banned'),
      accounts: new Accounts(undefined, among?.count),
    },
    metricsAt: parseAddress(flags, 'metrics-listen', 0),
    drainMs: seconds(flags, 'drain') ?? 30_000,
    times: {
      deadlineMs: seconds(flags, 'deadline'),
      idleMs: seconds(flags, 'idle'),
      unusedMs: seconds(flags, 'unused'),
      joinsPerSecond: part(flags.integer('joins-per-second') ?? JOINS_PER_SECOND),
    },
    log: new Log({ format, quiet: flags.on('quiet'), process: among?.number }),
  }
}

/** A flag in megabytes, as bytes. */
export function megabytes(flags: Flags, name: string): number | undefined {
  const value = flags.integer(name)
  return value === undefined ? undefined : value * 2 ** 20
}

export function parseAddress(
  flags: Flags,
  name: string,
  defaultPort: number,
): { host: string; port: number } | undefined {
  const text = flags.text(name)
  if (text === undefined) return undefined
  const [, host = '127.0.0.1', digits] = /^(?:(\[[^\]]+\]|[^:]+)?:)?(\d{1,5})$/.exec(text) ?? []
  if (digits !== undefined && Number(digits) <= 65_535) return { host, port: Number(digits) }
  flags.fault(`--${name}: expected HOST:PORT, :PORT or PORT with a port from 0 to 65535, got ${text}`)
  return { host, port: defaultPort }
}

function origins(flags: Flags): string[] | undefined {
  const list = flags.text('origin')?.split(',')
  for (const origin of list ?? []) {
    if (!URL.canParse(origin) || new URL(origin).origin !== origin) {
      flags.fault(`--origin: expected origins like https://app.example.org, without a path, got ${origin}`)
    }
  }
  return list
}

/**
 * What whoever started the party waits for.
 * @param next the command that goes on from here, and what it does
 */
export function sayReady(
  log: Log,
  facts: Readonly<Record<string, string | undefined>>,
  next: readonly [command: string, does: string],
): void {
  const known = Object.entries(facts).filter((entry): entry is [string, string] => entry[1] !== undefined)
  const indent = Math.max(...known.map(([name]) => words(name).length)) + 2
  const lines = known.map(([name, value]) => `${words(name).padEnd(indent)}${value}`)
  log.ready(facts, [...lines, nextCommand(...next, painter(process.stdout))])
}

/** `publicKey` → `public key` */
const words = (name: string): string => name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)
