// What parties are given from outside: inputs, calls, weight files, plans. What does not fit is refused before it costs anything.
import { afterEach, describe, expect, test } from 'vitest'
import { loadKernels } from '../../src/kernels/instance.js'
import { parseArchitecture } from '../../src/model/architecture.js'
import { bindWeights } from '../../src/model/weights.js'
import { memoryPair, Phase } from '../../src/net/index.js'
import { Client } from '../../src/party/client/client.js'
import { encodeWelcome, MAX_BATCH } from '../../src/party/messages.js'
import { readPlan } from '../../src/party/received-plan.js'
import { canonicalJson, planDigest } from '../../src/plan/plan.js'
import { Kind } from '../../src/protocol/kinds.js'
import { layOut } from '../../src/protocol/step.js'
import { processorMs } from '../fixtures/clock.js'
import {
  causeOf,
  DEADLINE_MS,
  failure,
  inputFor,
  kindOf,
  neighbourhood,
  raw,
  Site,
  tinyNetwork,
  watchRejections,
  wire,
} from './fixture.js'

const compiled = tinyNetwork(1)
const other = tinyNetwork(2, 3)
const input = inputFor(compiled)
const rejections = watchRejections()
afterEach(() => expect(rejections).toEqual([]))

describe('what a caller gets wrong', () => {
  test('inputs that do not fit are refused before anything is sent, and the client goes on', async () => {
    const { site, end } = await neighbourhood(compiled)
    const { client, compare } = await site.seat()
    await client.prepare()
    const before = JSON.stringify(client.traffic.links)
    const size = input.length
    const spoilt = (value: number) => Float32Array.from(input, (x, i) => (i === 5 ? value : x))
    const inputs: [unknown, RegExp][] = [
      [new Float32Array(size - 1), /takes 36 values, got 35/],
      [new Float32Array(size + 1), /got 37/],
      [new Float32Array(0), /got 0/],
      [new Uint8Array(size), /Float32Array in CHW order/],
      [null, /Float32Array/],
      [spoilt(Number.NaN), /1 values are NaN or infinite/],
      [spoilt(Number.POSITIVE_INFINITY), /NaN or infinite/],
      [spoilt(1e30), /1 values are outside/],
      [spoilt(-1e30), /outside/],
    ]
    for (const [wrong, text] of inputs) {
      const error = await failure(client.run(wrong as Float32Array))
      expect(error).toMatchObject({ code: 'BAD_INPUT', retryable: false })
      expect(error!.message).toMatch(text)
    }
    for (const count of [0, -1, 1.5, Number.NaN, MAX_BATCH + 1]) {
      expect(await failure(client.prepare(count))).toMatchObject({ code: 'BAD_INPUT' })
    }
    expect(JSON.stringify(client.traffic.links)).toBe(before)
    expect(client.prepared).toBe(1)
    expect(await compare(input)).toBeNull()
    await client.release()
    await end()
  })

  test('a missing weight tensor is named, with its layer and shape', async () => {
    const arch = parseArchitecture({
      format: 'arch/1',
      name: 'two',
      inputs: [{ name: 'x', shape: [4] }],
      outputs: ['b'],
      layers: [
        { id: 'a', op: 'linear', in: ['x'], cout: 3, bias: true },
        { id: 'b', op: 'linear', in: ['a'], cout: 2, bias: false },
      ],
      weights: { layout: 'torch' },
    })
    const weight = { dtype: 'F32', shape: [3, 4], data: new Float32Array(12) }
    const error = await failure((async () => bindWeights(arch, new Map([['a.weight', weight]])))())
    expect(error).toMatchObject({ code: 'BAD_FILE' })
    expect(error!.problems).toEqual([
      expect.stringMatching(/"a".*bias.*none/),
      expect.stringMatching(/"b".*weight.*none/),
    ])
  })

  test('an aborted signal stops a call before it begins; the client remains', async () => {
    const { site, end } = await neighbourhood(compiled)
    const { client, compare } = await site.seat()
    const signal = AbortSignal.abort()
    expect(await failure(client.run(input, { signal }))).toMatchObject({ code: 'ABORTED' })
    expect(await failure(site.seat({ signal }))).toMatchObject({ code: 'ABORTED' })
    expect(await compare(input)).toBeNull()
    await client.release()
    await end()
  })

  test('release during a call ends it with ABORTED, and a second release does nothing', async () => {
    const { site, end } = await neighbourhood(compiled)
    const toServer = wire((message) => (kindOf(message) === Kind.opening ? [] : message))
    const { client } = await site.seat({ toServer })
    const running = failure(client.run(input))
    await new Promise((done) => setTimeout(done, 20))
    await Promise.all([client.release(), client.release()])
    expect(await running).toMatchObject({ code: 'ABORTED' })
    expect(await failure(client.run(input))).toMatchObject({ code: 'ABORTED' })
    expect(client.memoryInUse).toBe(0)
    await end()
  })

  test('calls at the same time take turns', async () => {
    const { site, end } = await neighbourhood(compiled)
    const { client, compare } = await site.seat()
    expect(await Promise.all([compare(input), client.prepare(2), compare(inputFor(compiled, 9))])).toEqual([
      null,
      undefined,
      null,
    ])
    expect(client.prepared).toBe(1)
    await client.release()
    await end()
  })
})

describe('plans', () => {
  test('a client takes only the plan it was told to take', async () => {
    const { site, end } = await neighbourhood(compiled)
    for (const options of [{ planDigest: planDigest(other.plan) }, { plan: other.plan }]) {
      expect(await failure(site.seat(options))).toMatchObject({ code: 'PLAN_MISMATCH' })
    }
    const { client, compare } = await site.seat({ plan: compiled.plan })
    expect(await compare(input)).toBeNull()
    await client.release()
    await end()
  })

  test('a digest that is not the plan’s is found by the helper and by the client', async () => {
    const { helper, site, end } = await neighbourhood(compiled)
    const flip = (kind: number, at: number, end: 'a' | 'b') =>
      wire((message, _, from) => {
        if (from === end && kindOf(message) === kind) message[8 + at] ^= 1
        return message
      })
    const atHelper = await failure(Site.create(compiled, helper, { wire: flip(Kind.hello, 40, 'a') }))
    expect(atHelper).toMatchObject({ code: 'PEER_FAILED' })
    expect(causeOf(atHelper)).toBe('PLAN_MISMATCH')
    const asked = await failure(site.seat({ toHelper: flip(Kind.hello, 40, 'a') }))
    expect(causeOf(asked)).toBe('PLAN_MISMATCH')
    expect(await failure(site.seat({ toServer: flip(Kind.welcome, 100, 'b') }))).toMatchObject({
      code: 'PLAN_MISMATCH',
    })
    await end()
  })

  /** A plan as loosely typed as JSON is. */
  // biome-ignore lint/suspicious/noExplicitAny: edits below are wrong on purpose
  type Json = any
  const hostile: Record<string, (plan: Json) => void> = {
    'sums of sums that double two hundred times': (plan) => {
      const { linear } = plan.steps[0]
      for (let i = 0; i < 200; i++) {
        const last = linear.length - 1
        linear.push({ op: 'add', of: [last, last], out: linear[last].out })
      }
    },
    'a pooling window larger than any map': (plan) => {
      const { linear } = plan.steps[0]
      const out = [1, 6, 6]
      linear.splice(1, 0, { op: 'poolSum', of: 0, kernel: [2 ** 24, 2 ** 24], stride: [1, 1], pad: [0, 0, 0, 0], out })
      linear[2].of = 1
    },
    'a filter larger than memory': (plan) => {
      const conv = plan.steps[0].linear.find((op: { op: string }) => op.op === 'conv')
      conv.geometry.kernel = [2 ** 15, 2 ** 15]
      conv.geometry.pad = [2 ** 14, 2 ** 14, 2 ** 14 - 1, 2 ** 14 - 1]
    },
    'more elements than memory': (plan) => {
      const zero = { op: 'zero', out: [2 ** 24, 2, 2] }
      for (let i = 0; i < 9; i++) plan.steps[0].linear.unshift(zero)
      for (const op of plan.steps[0].linear.slice(9)) if ('of' in op) op.of = Array.isArray(op.of) ? op.of : op.of + 9
    },
    'a comparison of nothing': (plan) => {
      plan.steps[0].activation.lo = plan.steps[0].activation.bits
      plan.steps[0].activation.chunks = []
    },
    'a step that reads itself': (plan) => {
      plan.steps[0].linear[0].tensor = 1
    },
    'no step': (plan) => {
      plan.steps = []
    },
    'something beside it': (plan) => {
      plan.extra = 1
    },
  }
  test.each(Object.keys(hostile))('a plan that would exhaust a party is refused at once: %s', async (name) => {
    const plan = JSON.parse(JSON.stringify(compiled.plan))
    hostile[name](plan)
    const json = new TextEncoder().encode(canonicalJson(plan))
    const digest = planDigest(plan)
    const before = processorMs()
    expect(await failure((async () => readPlan(json, digest))())).toMatchObject({ code: 'PLAN_MISMATCH' })
    const [server, near] = memoryPair()
    const [helper] = memoryPair()
    const session = new Uint8Array(16)
    const key = new Uint8Array(32)
    const welcome = { registration: session, session, helperKey: key, modelSeed: key, digest, planBytes: json.length }
    const fake = raw(near)
    fake.send(Kind.welcome, Phase.setup, 0, encodeWelcome(welcome))
    fake.send(Kind.plan, Phase.setup, 0, json)
    const error = await failure(Client.create({ server, helper, deadlineMs: DEADLINE_MS }))
    expect(error).toMatchObject({ code: 'PLAN_MISMATCH' })
    expect(processorMs() - before).toBeLessThan(2000)
  })

  test('no plan that differs in one place makes a party fail in another way than by refusing it', async () => {
    const k = loadKernels()
    const json = JSON.stringify(compiled.plan)
    const values = [0, -1, 1, 7, 1.5, 2 ** 24, 2 ** 31, 1e300, '', 'x', null, true, [], {}, [[]], [1, 1, 1]]
    let accepted = 0
    for (let round = 0; round < 3000; round++) {
      const plan = JSON.parse(json)
      const places: [Json, string][] = []
      const visit = (node: Json) => {
        for (const key of Object.keys(node)) {
          places.push([node, key])
          if (node[key] !== null && typeof node[key] === 'object') visit(node[key])
        }
      }
      visit(plan)
      const [node, key] = places[(round * 7919) % places.length]
      if (round % 17 === 0) delete node[key]
      else node[key] = values[round % values.length]
      const bytes = new TextEncoder().encode(JSON.stringify(plan))
      try {
        layOut(k, readPlan(bytes, planDigest(plan))).release()
        accepted++
      } catch (error) {
        expect(error).toMatchObject({ name: 'RingfenceError', code: 'PLAN_MISMATCH' })
      }
    }
    expect(accepted).toBeGreaterThan(0)
    expect(k.memory.inUse).toBe(0)
  })

  test.each([
    ['bytes that are no text', new Uint8Array([0xff, 0xfe])],
    ['text that is no JSON', new TextEncoder().encode('{"format":')],
    ['JSON that is no object', new TextEncoder().encode('7')],
  ])('%s', async (_, bytes) => {
    const error = await failure((async () => readPlan(bytes, new Uint8Array(32)))())
    expect(error).toMatchObject({ code: 'PLAN_MISMATCH' })
  })
})
