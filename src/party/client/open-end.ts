// The channels of a client, from its options.
import { type Channel, connect } from '../../net/index.js'
import { tokenFor } from '../options.js'
import type { ClientOptions } from './client-options.js'

/** A channel to one of a client's parties. */
export async function openEnd(
  party: 'server' | 'helper',
  options: ClientOptions,
  signal?: AbortSignal,
): Promise<Channel> {
  const end = options[party]
  if (typeof end === 'function') return end()
  if (typeof end !== 'string') return end
  return connect(end, { signal, deadlineMs: options.deadlineMs, token: tokenFor(party, options) })
}
