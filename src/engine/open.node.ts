// Which engine an address means.
import { fileURLToPath } from 'node:url'
import { RingfenceError } from '../errors.js'
import type { Engine } from './engine.js'
import { openFileEngine } from './file.node.js'
import { type NatsOptions, openNatsEngine } from './nats.node.js'

/**
 * Opens a queue.
 * @param url file:///FOLDER for the processes of one machine, nats://HOST:PORT or tls://HOST:PORT for a fleet
 * @throws RingfenceError BAD_INPUT, INSECURE, HOST, PEER_GONE, UNAUTHORIZED
 */
export function openEngine(url: string, options: NatsOptions): Promise<Engine> {
  const { protocol, host, pathname } = URL.canParse(url) ? new URL(url) : { protocol: undefined }
  // What stands between the second and the third slash is a host: file://queue has one and no folder.
  if (protocol === 'file:' && host === '' && !/%(2f|00)/i.test(pathname)) {
    return openFileEngine(fileURLToPath(url), options)
  }
  if (protocol === 'nats:' || protocol === 'tls:') return openNatsEngine(url, options)
  const what = 'a queue is at file:///FOLDER, nats://HOST:PORT or tls://HOST:PORT'
  return Promise.reject(new RingfenceError('BAD_INPUT', `${what}, not ${url.slice(0, 80)}`))
}
