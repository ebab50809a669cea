// SIGHUP reads a configuration file again: what has changed, and what of that takes a restart.
import { RingfenceError } from '../../errors.js'
import type { Changeable } from '../../operate/service.js'
import type { Flags } from '../terminal/arguments.js'
import type { Configured } from './config-file.js'
import type { ServiceOrder } from './listening.js'

/** Where and as what a party listens, and what its connections were opened with. */
const FIXED = [
  'listen',
  'metrics-listen',
  'behind-proxy',
  'keep-alive',
  'max-message-mb',
  'unfinished-mb',
  'log',
  'quiet',
]

export interface Rereading<Order extends { readonly service: ServiceOrder }> {
  /** What holds, from the start on. */
  readonly first: Configured
  /** Reads the file, and the command line that goes before it. */
  read(): Promise<Configured>
  /** What that asks for. */
  order(configured: Configured): Promise<Order>
  /** Flags of this command that take a restart, beside those of every service. */
  readonly fixed?: readonly string[]
  /** Takes in what is not the service's. */
  take?(order: Order): void
}

/** What `Service` calls on SIGHUP; nothing without a file. */
export function rereading<Order extends { readonly service: ServiceOrder }>({
  first,
  read,
  order,
  fixed = [],
  take,
}: Rereading<Order>): (() => Promise<Changeable>) | undefined {
  if (first.flags.text('config') === undefined) return undefined
  let before = first.flags
  return async () => {
    const configured = await read()
    const next = await order(configured)
    const { door, log } = next.service
    if (isGuarded(before) && !door.tokens && !door.jwks) {
      throw new RingfenceError('INSECURE', 'without tokens and jwks everybody would be let in; that takes a restart')
    }
    const stay = changed(before, configured.flags).filter((key) => [...FIXED, ...fixed].includes(key))
    if (before.text('cert') === undefined && configured.flags.text('cert') !== undefined) stay.push('cert', 'key')
    if (stay.length > 0) log.say('warn', 'restart', { keys: stay.join(', ') }, `takes a restart: ${stay.join(', ')}`)
    before = configured.flags
    take?.(next)
    return next.service
  }
}

const isGuarded = (flags: Flags): boolean => (flags.text('tokens') ?? flags.text('jwks')) !== undefined

function changed(before: Flags, after: Flags): string[] {
  const keys = new Set([...before.values.keys(), ...after.values.keys()])
  return [...keys].filter((key) => before.values.get(key) !== after.values.get(key))
}
