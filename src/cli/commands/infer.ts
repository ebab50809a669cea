// `ringfence infer`: classifies pictures privately.
import { basename } from 'node:path'
import { imageInputs, readImageFiles } from '../../files/image-files.js'
import type { Resize } from '../../model/pictures/resize.js'
import { type Channel, connect, shape } from '../../net/index.js'
import { Client, type InferenceResult, type Progress } from '../../party/client/client.js'
import type { Backend } from '../../plan/plan.js'
import { meteredFetch } from '../../thin/metered.js'
import { ThinClient } from '../../thin/thin-client.js'
import { securennFlights } from '../../tune/inspection/securenn-flights.js'
import {
  type Command,
  DEADLINE_FLAG,
  type Flags,
  fromHex,
  HELPER_KEY_FLAG,
  NETWORK_FLAG,
  RESIZE_FLAG,
  seconds,
} from '../terminal/arguments.js'
import { secretOf } from '../terminal/flag-words.js'
import { printed, type Work } from '../terminal/printed.js'
import {
  byteSize,
  columnsOf,
  count,
  duration,
  median,
  nextCommand,
  painter,
  tableLines,
  wrapped,
} from '../terminal/terminal.js'

const DELEGATE_FLAGS = {
  delegate: {
    type: 'string',
    valueHint: 'URL',
    description:
      'the delegate, https://… (or http:// on this machine), in place of a helper: one request for each picture',
  },
  'delegate-key': { type: 'string', valueHint: 'HEX', description: "the delegate's public key, as it prints it" },
} as const

export const infer: Command = {
  name: 'infer',
  summary: "Classify pictures with a server's network. Neither server nor helper sees a picture or an answer.",
  operands: 'IMAGE…',
  flags: {
    server: { type: 'string', valueHint: 'URL', description: 'the server, wss://… (or ws:// on this machine)' },
    helper: { type: 'string', valueHint: 'URL', description: 'the helper that server works with' },
    ...DELEGATE_FLAGS,
    token: {
      type: 'string',
      valueHint: 'TOKEN|@FILE',
      description: 'what server and helper ask for; @FILE keeps it off the command line',
    },
    ...RESIZE_FLAG,
    ...HELPER_KEY_FLAG,
    'plan-digest': { type: 'string', valueHint: 'HEX', description: 'SHA-256 of the only plan to accept' },
    ...NETWORK_FLAG,
    ...DEADLINE_FLAG,
  },
  notes: [
    'IMAGE is a PNG or a JPEG, of the network’s size or with --resize, or raw bytes: one plane per channel, row by row.',
    'A certificate authority of your own is trusted through NODE_EXTRA_CA_CERTS=FILE.',
  ],
  async run(flags) {
    const order = await readOrder(flags)
    await printed(flags, (how) => (order.delegate ? askAll(order, order.delegate, how) : classifyAll(order, how)), text)
    return 0
  },
}

function readDelegate(flags: Flags): InferOrder['delegate'] {
  const url = flags.text('delegate')
  const key = flags.key('delegate-key')
  if (url === undefined) {
    if (key) flags.fault('--delegate-key goes with --delegate')
    return undefined
  }
  flags.refuse(['helper', 'helper-key'], 'the delegate talks to the helper; leave it out')
  flags.refuse(['network'], 'not emulated with --delegate; leave it out')
  if (flags.text('delegate-key') === undefined) {
    flags.fault('--delegate-key is missing: what the delegate prints when it starts, handed over in a way you trust')
  }
  return { url, key: key ?? new Uint8Array(0) }
}

interface InferOrder {
  readonly server: string
  readonly helper: string
  /** Plays the client; the helper is its affair then. */
  readonly delegate: { readonly url: string; readonly key: Uint8Array } | undefined
  readonly helperKey: Uint8Array | undefined
  readonly planDigest: Uint8Array | undefined
  readonly token: string | undefined
  readonly network: ReturnType<Flags['network']>
  readonly resize: Resize | undefined
  readonly deadlineMs: number | undefined
  readonly files: readonly string[]
}

async function readOrder(flags: Flags): Promise<InferOrder> {
  const server = flags.required('server', 'where the server listens, for example ws://127.0.0.1:7702')
  const delegate = readDelegate(flags)
  const where = 'where the helper listens, for example ws://127.0.0.1:7701'
  const helper = delegate ? '' : flags.required('helper', where)
  const helperKey = flags.key('helper-key')
  const digest = flags.text('plan-digest')
  if (digest !== undefined && !/^[0-9a-f]{64}$/i.test(digest))
    flags.fault('--plan-digest: expected 64 hexadecimal digits')
  const network = flags.network()
  const resize = flags.resize()
  const deadlineMs = seconds(flags, 'deadline')
  if (flags.operands.length === 0) flags.fault('no IMAGE is given: name at least one picture')
  const text = flags.text('token')
  flags.check()
  const token = await secretOf('token', text)
  const planDigest = digest === undefined ? undefined : fromHex(digest)
  return { server, helper, delegate, helperKey, planDigest, token, network, resize, deadlineMs, files: flags.operands }
}

/** Through the delegate: one round trip for each picture. */
async function askAll(
  { server, token, planDigest, resize, deadlineMs, files: names }: InferOrder,
  { url, key }: NonNullable<InferOrder['delegate']>,
  { signal, onProgress: onStage }: Work,
): Promise<InferReport> {
  const files = await readImageFiles(names)
  onStage({ stage: 'connecting', done: 0 })
  const counts = { requests: 0, bytesUp: 0, bytesDown: 0 }
  const common = {
    server,
    delegate: url,
    delegateKey: key,
    token,
    planDigest,
    signal,
    deadlineMs,
    fetch: meteredFetch(counts),
  }
  const client = await ThinClient.create(common)
  const before = { ...counts }
  const inputs = imageInputs(files, client.terms, resize)
  const images: ImageReport[] = []
  for (const [i, { file }] of files.entries()) {
    onStage({ stage: 'classifying', done: i / files.length, detail: `picture ${i + 1} of ${files.length}` })
    images.push(imageReport(file, await client.run(inputs[i], { signal }), 0))
  }
  const each = (what: 'bytesUp' | 'bytesDown') => (counts[what] - before[what]) / images.length
  const ms = median(images.map(({ onlineMs }) => onlineMs))
  return {
    ...{ network: client.terms.network, backend: 'mcc', delegate: true, images },
    online: {
      ms,
      flights: 2,
      bytesUp: each('bytesUp'),
      bytesDown: each('bytesDown'),
      clientToHelper: 0,
      helperToClient: 0,
    },
    offline: { ms: 0, clientUp: 0, clientDown: 0 },
  }
}

interface ImageReport {
  readonly file: string
  readonly prediction: number
  readonly label: string | null
  readonly logits: readonly number[]
  /** Values of input and output beyond the calibrated range. */
  readonly beyondRange: InferenceResult['beyondRange']
  readonly onlineMs: number
  readonly offlineMs: number
}

interface InferReport {
  readonly network: string
  readonly backend: Backend
  /** The delegate played the client. */
  readonly delegate: boolean
  readonly images: readonly ImageReport[]
  /** Per image. */
  readonly online: {
    readonly ms: number
    readonly flights: number
    readonly bytesUp: number
    readonly bytesDown: number
    readonly clientToHelper: number
    readonly helperToClient: number
  }
  readonly offline: { readonly ms: number; readonly clientUp: number; readonly clientDown: number }
}

async function classifyAll(order: InferOrder, { signal, onProgress: onStage }: Work): Promise<InferReport> {
  const files = await readImageFiles(order.files)
  onStage({ stage: 'connecting', done: 0 })
  const client = await open(order, signal)
  try {
    const inputs = imageInputs(files, client.plan, order.resize)
    const images: ImageReport[] = []
    for (const [i, { file }] of files.entries()) {
      const picture = `picture ${i + 1} of ${files.length}`
      const show = (done: number, layer: string) =>
        onStage({ stage: 'classifying', done: (i + done) / files.length, detail: `${picture}  ${layer}`.trimEnd() })
      show(0, '')
      const prepares = client.plan.backend === 'mcc'
      const onProgress = ({ phase, step, steps, layer }: Progress) => {
        show(prepares ? (phase === 'prepare' ? 0 : 0.5) + step / steps / 2 : step / steps, layer)
      }
      const started = performance.now()
      if (prepares) await client.prepare(1, { signal, onProgress })
      const offlineMs = prepares ? performance.now() - started : 0
      images.push(imageReport(file, await client.run(inputs[i], { signal, onProgress }), offlineMs))
    }
    return summary(client, images)
  } finally {
    await client.release()
  }
}

async function open(order: InferOrder, signal: AbortSignal) {
  const { server, helper, helperKey, planDigest, token, network, deadlineMs } = order
  const wires: Channel[] = []
  try {
    for (const url of [server, helper]) wires.push(await connect(url, { signal, token }))
  } catch (error) {
    for (const wire of wires) wire.close()
    throw error
  }
  const [toServer, toHelper] = network ? wires.map((wire) => shape(wire, network.profile)) : wires
  return Client.create({ server: toServer, helper: toHelper, helperKey, planDigest, signal, deadlineMs })
}

function imageReport(file: string, result: InferenceResult, offlineMs: number): ImageReport {
  const { prediction, label, logits, beyondRange, milliseconds } = result
  return { file, prediction, label: label ?? null, logits: [...logits], beyondRange, onlineMs: milliseconds, offlineMs }
}

function summary({ plan, traffic }: Client, images: readonly ImageReport[]): InferReport {
  const { server, helper } = traffic.links
  const each = (total: number) => total / images.length
  const { flights, bytesSent, bytesReceived } = server.online
  return {
    network: plan.network,
    backend: plan.backend,
    delegate: false,
    images,
    online: {
      ms: median(images.map(({ onlineMs }) => onlineMs)),
      // Waves of consecutive inferences that go the same way would count once; none do, an answer comes down last.
      flights: plan.backend === 'mcc' ? each(flights) : securennFlights(plan).reduce((sum, step) => sum + step, 0),
      bytesUp: each(bytesSent),
      bytesDown: each(bytesReceived),
      clientToHelper: each(helper.online.bytesSent),
      helperToClient: each(helper.online.bytesReceived),
    },
    offline: {
      ms: median(images.map(({ offlineMs }) => offlineMs)),
      clientUp: each(server.offline.bytesSent + helper.offline.bytesSent),
      clientDown: each(server.offline.bytesReceived + helper.offline.bytesReceived),
    },
  }
}

function text({ network, backend, delegate, images, online, offline }: InferReport): string {
  const paint = painter(process.stdout)
  const width = columnsOf(process.stdout)
  const rows = images.map(({ file, prediction, label, logits, onlineMs }) => [
    basename(file),
    paint('bold', label ?? `class ${prediction}`),
    logits[prediction].toFixed(3),
    (share(logits, prediction) * 100).toFixed(1),
    duration(onlineMs),
  ])
  const right = { align: 'right' } as const
  const columns = [
    ...[{ head: 'picture', shrinks: 'middle' } as const, { head: 'prediction' }, { head: 'logit', ...right }],
    ...[
      { head: 'softmax, %', ...right },
      { head: 'on line', ...right },
    ],
  ]
  const up = `${byteSize(online.bytesUp)} up, ${byteSize(online.bytesDown)} down, ${online.flights} flights`
  const before = delegate
    ? 'nothing before'
    : backend === 'mcc'
      ? `off line ${duration(offline.ms)}, ${byteSize(offline.clientUp)} up, ${byteSize(offline.clientDown)} down`
      : `${byteSize(online.clientToHelper)} to the helper`
  return [
    ...[
      `${paint('bold', network)}, back end ${backend}${delegate ? ', delegated' : ''}`,
      ...tableLines(columns, rows, paint, width),
    ],
    ...images.flatMap(({ file, beyondRange }) => beyondLine(file, beyondRange, paint, width)),
    wrapped(`per picture on line ${duration(online.ms)}, ${up}; ${before}`, width, '  '),
    nextCommand('demo', 'the same in three processes, every bit checked', paint),
    '',
  ].join('\n')
}

function beyondLine(
  file: string,
  { input, output }: InferenceResult['beyondRange'],
  paint: ReturnType<typeof painter>,
  width: number,
): string[] {
  if (input + output === 0) return []
  const where = [input > 0 ? `${count(input)} of its values` : '', output > 0 ? `${count(output)} of its outputs` : '']
  const what = `${where.filter(Boolean).join(' and ')} beyond what the network was calibrated for: do not rely on it`
  return [wrapped(`${paint('yellow', 'warning')} ${basename(file)}: ${what}`, width, '  ')]
}

/** Softmax of one logit. */
function share(logits: readonly number[], index: number): number {
  const most = Math.max(...logits)
  const sum = logits.reduce((total, logit) => total + Math.exp(logit - most), 0)
  return Math.exp(logits[index] - most) / sum
}
