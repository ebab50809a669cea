// Parties on `securenn`, where a server opens a connection to the helper for every client; each can be disturbed.

import { expect } from 'vitest'
import type { RingfenceError } from '../../../src/errors.js'
import { parseArchitecture } from '../../../src/model/architecture.js'
import { parseReluSpec } from '../../../src/model/relu/spec.js'
import { Client, type ClientOptions } from '../../../src/party/client/client.js'
import type { Helper } from '../../../src/party/helper/helper.js'
import { Server } from '../../../src/party/server.js'
import type { ServerOptions } from '../../../src/party/server-options.js'
import { calibrate } from '../../../src/plan/calibrate.js'
import { type Compiled, type CompileOptions, compile } from '../../../src/plan/compile/compile.js'
import type { SecurennPlan } from '../../../src/plan/plan.js'
import { AUDIT } from '../../../src/testing.js'
import { randomWeights } from '../../fixtures/networks.js'
import { sampleInput } from '../../fixtures/workloads.js'
import { createHelper, DEADLINE_MS, difference, hex, inputFor, type Seat, type Wire, wire } from '../fixture.js'

/** A convolution, block ReLU, a second convolution and plain ReLU, a linear layer, over a 1 x 6 x 6 input. */
export function smallNetwork(seed: number, options: CompileOptions<'securenn'> = {}): Compiled<SecurennPlan> {
  const conv = { op: 'conv2d', kernel: [3, 3], pad: [1, 1, 1, 1], dilation: [1, 1], groups: 1, bias: true }
  const arch = parseArchitecture({
    format: 'arch/1',
    name: 'small',
    inputs: [{ name: 'x', shape: [1, 6, 6] }],
    outputs: ['fc'],
    layers: [
      { ...conv, id: 'conv1', in: ['x'], cout: 2, stride: [1, 1] },
      { id: 'relu1', op: 'relu', in: ['conv1'] },
      { ...conv, id: 'conv2', in: ['relu1'], cout: 3, stride: [2, 2] },
      { id: 'relu2', op: 'relu', in: ['conv2'] },
      { id: 'flatten', op: 'flatten', in: ['relu2'] },
      { id: 'fc', op: 'linear', in: ['flatten'], cout: 3, bias: true },
    ],
    weights: { layout: 'torch' },
  })
  const blocks = [
    [2, 2],
    [0, 1],
  ]
  const spec = parseReluSpec({ format: 'relu-spec/1', layers: { relu1: { kind: 'block', blocks } } }, arch)
  const weights = randomWeights(arch, seed)
  const calibration = calibrate(arch, weights, spec, [sampleInput(arch, seed)])
  return compile(arch, weights, calibration, spec, { ...options, backend: 'securenn' })
}

export interface SecurennSiteOptions {
  /** The server's connections to the helper, in the order it opens them; plain ones where there is none. */
  wires?: readonly (Wire | undefined)[]
  server?: ServerOptions
}

/** A server with its clients, at a helper. */
export class SecurennSite {
  readonly errors: RingfenceError[] = []
  /** The server's connections to the helper: the registration, then one per client. */
  readonly wires: Wire[] = []
  server!: Server
  readonly #seeds = new Map<string, Uint8Array>()

  private constructor(
    readonly compiled: Compiled,
    readonly helper: Helper,
  ) {}

  static async create(compiled: Compiled, helper: Helper, options: SecurennSiteOptions = {}): Promise<SecurennSite> {
    const site = new SecurennSite(compiled, helper)
    const connect = () => {
      const between = options.wires?.[site.wires.length] ?? wire()
      site.wires.push(between)
      void helper.run(between.b)
      return between.a
    }
    site.server = await Server.create(compiled, connect, {
      deadlineMs: DEADLINE_MS,
      onError: (error) => site.errors.push(error),
      ...options.server,
      [AUDIT]: ({ session, seed }) => site.#seeds.set(hex(session), seed),
    })
    return site
  }

  async seat(options: Partial<ClientOptions> & { toServer?: Wire; toHelper?: Wire } = {}): Promise<Seat> {
    const { toServer = wire(), toHelper = wire(), ...rest } = options
    void this.server.run(toServer.b)
    void this.helper.run(toHelper.b)
    const seeds: { ch?: Uint8Array; model?: Uint8Array; name?: string } = {}
    const client = await Client.create({
      deadlineMs: DEADLINE_MS,
      ...rest,
      server: toServer.a,
      helper: toHelper.a,
      [AUDIT]: ({ session, seed, model }) => Object.assign(seeds, { ch: seed, model, name: hex(session) }),
    })
    const compare = async (input: Float32Array) => {
      const result = await client.run(input)
      const sh = this.#seeds.get(seeds.name!)!
      return difference(this.compiled, input, result, { ch: seeds.ch!, model: seeds.model!, sh })
    }
    return { client, compare }
  }
}

/** A server at a helper, and what has to hold when a test is done with them. */
export async function securennNeighbourhood(compiled: Compiled, options: SecurennSiteOptions = {}) {
  const complaints: RingfenceError[] = []
  const helper = await createHelper({ onError: (error) => complaints.push(error) })
  const site = await SecurennSite.create(compiled, helper, options)
  const end = async () => {
    const { client, compare } = await site.seat()
    expect(await compare(inputFor(compiled))).toBeNull()
    await client.release()
    await site.server.release()
    await helper.release()
    expect([site.server.memoryInUse, helper.memoryInUse, client.memoryInUse]).toEqual([0, 0, 0])
  }
  return { helper, site, end, complaints }
}
