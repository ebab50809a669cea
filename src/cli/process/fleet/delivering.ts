// `serve --registration --deliver`: bundles that dealers bring past the helper's link.
import { deliveryHost, type FleetListener, listenForDealers } from '../../../fleet/http.node.js'
import { readTls, type TlsFiles } from '../../../operate/tls-files.js'
import type { Server } from '../../../party/server.js'
import type { FlagDefinitions, Flags } from '../../terminal/arguments.js'
import { parseAddress } from '../listening.js'

const DELIVER_PORT = 7704

export const DELIVER_FLAGS = {
  registration: {
    type: 'string',
    valueHint: 'FILE',
    description: 'a registration that servers of this model share, made by ringfence register',
  },
  deliver: {
    type: 'string',
    valueHint: 'URL',
    description: "where the helper's dealers reach this server, https://HOST:PORT (default: over its own connection)",
  },
  'deliver-listen': {
    type: 'string',
    valueHint: 'HOST:PORT',
    description: `where it listens for them, with --cert and --key (default 127.0.0.1:${DELIVER_PORT})`,
  },
} as const satisfies FlagDefinitions

export interface DeliverOrder {
  readonly url: string
  readonly listen: { host: string; port: number }
}

/** Problems are left with `flags`. */
export function readDelivering(flags: Flags): { registration: string | undefined; deliver: DeliverOrder | undefined } {
  const registration = flags.text('registration')
  const url = flags.text('deliver')
  const listen = parseAddress(flags, 'deliver-listen', DELIVER_PORT) ?? { host: '127.0.0.1', port: DELIVER_PORT }
  if (url === undefined) {
    if (flags.text('deliver-listen') !== undefined) flags.fault('--deliver-listen goes with --deliver')
    return { registration, deliver: undefined }
  }
  if (registration === undefined) flags.fault('--deliver goes with --registration: ringfence register makes one')
  if (deliveryHost(url) === undefined) {
    flags.fault('--deliver: expected https://HOST:PORT (http:// on this machine), in small letters and without a path')
  }
  return { registration, deliver: { url, listen } }
}

/** @throws RingfenceError INSECURE, HOST, BAD_FILE */
export async function takeDeliveries(
  { listen }: DeliverOrder,
  tls: TlsFiles | undefined,
  desk: Pick<Server, 'expects'>,
): Promise<FleetListener> {
  return listenForDealers({ ...listen, tls: tls && (await readTls(tls)) }, desk)
}
