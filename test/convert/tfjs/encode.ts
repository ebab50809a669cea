// Writes TF.js models for the tests: model.json and its shards.

export interface Weight {
  readonly shape: readonly number[]
  readonly data: readonly number[]
  /** How a shard stores it; float32 by default. */
  readonly as?: 'float32' | 'int32' | 'uint8' | 'uint16' | 'float16'
}

export interface TfjsFiles {
  readonly json: Uint8Array
  readonly shards: Map<string, Uint8Array>
}

export interface KerasLayer {
  readonly class_name: string
  readonly name: string
  readonly config: Readonly<Record<string, unknown>>
  /** Names of the layers it reads, one list per call. */
  readonly calls?: readonly (readonly string[])[]
}

/** A Sequential model over [height,width,channels] inputs. */
export function encodeSequential(
  input: readonly number[],
  layers: readonly KerasLayer[],
  weights: Readonly<Record<string, Weight>>,
): TfjsFiles {
  const list = layers.map(({ class_name, name, config }, i) => ({
    class_name,
    config: { name, trainable: true, ...(i === 0 ? { batch_input_shape: [null, ...input] } : {}), ...config },
  }))
  const model_config = { class_name: 'Sequential', config: { name: 'sequential', layers: list } }
  return encodeFiles('layers-model', { keras_version: '2.15.0', backend: 'tensorflow', model_config }, weights)
}

/** A functional config; `calls` of each layer name its sources as `layer` or `layer:call`. */
export function functionalConfig(layers: readonly KerasLayer[], inputs: readonly string[], outputs: readonly string[]) {
  const reference = (source: string) => [source.split(':')[0], Number(source.split(':')[1] ?? 0), 0]
  return {
    class_name: 'Functional',
    config: {
      name: 'functional',
      layers: layers.map(({ class_name, name, config, calls = [] }) => ({
        class_name,
        name,
        config: { name, ...config },
        inbound_nodes: calls.map((sources) => sources.map((source) => [...reference(source), {}])),
      })),
      input_layers: inputs.map(reference),
      output_layers: outputs.map(reference),
    },
  }
}

export function encodeFunctional(config: unknown, weights: Readonly<Record<string, Weight>>): TfjsFiles {
  return encodeFiles('layers-model', { model_config: config }, weights)
}

export interface GraphDefNode {
  readonly name: string
  readonly op: string
  readonly input?: readonly string[]
  readonly attr?: Readonly<Record<string, Attribute>>
}

/** A text, a flag, a number with a fraction, an integer, one type or several, a list of integers or of texts. */
export type Attribute =
  | string
  | boolean
  | { readonly f: number }
  | { readonly i: number }
  | { readonly type: string }
  | { readonly types: readonly string[] }
  | readonly number[]
  | readonly string[]

/** A graph model; every weight gets its Const node, every node without inputs given as a shape its Placeholder. */
export function encodeGraph(
  input: readonly number[],
  nodes: readonly GraphDefNode[],
  weights: Readonly<Record<string, Weight>>,
  outputs: readonly string[] = [nodes[nodes.length - 1].name],
): TfjsFiles {
  const dim = [-1, ...input].map((size) => ({ size: String(size) }))
  const node = [
    { name: 'image', op: 'Placeholder', attr: { shape: { shape: { dim } }, dtype: { type: 'DT_FLOAT' } } },
    ...Object.keys(weights).map((name) => ({ name, op: 'Const', attr: { dtype: { type: 'DT_FLOAT' } } })),
    ...nodes.map(({ name, op, input: sources, attr = {} }) => ({
      name,
      op,
      input: sources,
      attr: Object.fromEntries(Object.entries(attr).map(([key, value]) => [key, encodeAttribute(value)])),
    })),
  ]
  const signature = { outputs: Object.fromEntries(outputs.map((name) => [name, { name: `${name}:0` }])) }
  return encodeFiles('graph-model', { node, versions: {} }, weights, { signature })
}

export function encodeAttribute(value: Attribute): unknown {
  if (typeof value === 'string') return { s: btoa(value) }
  if (typeof value === 'boolean') return { b: value }
  if ('types' in value) return { list: { type: value.types } }
  if (!('length' in value)) return 'i' in value ? { i: String(value.i) } : value
  if (value.length === 0) return { list: {} }
  const isText = typeof value[0] === 'string'
  return { list: isText ? { s: value.map((text) => btoa(text as string)) } : { i: value.map(String) } }
}

/** Weights are laid one after another and cut into two shards in the middle of a tensor. */
export function encodeFiles(
  format: string,
  modelTopology: unknown,
  weights: Readonly<Record<string, Weight>>,
  more: object = {},
): TfjsFiles {
  const stored = Object.entries(weights).map(([name, weight]) => ({ name, weight, ...encodeWeight(weight) }))
  const all = new Uint8Array(stored.reduce((sum, { bytes }) => sum + bytes.length, 0))
  let at = 0
  for (const { bytes } of stored) {
    all.set(bytes, at)
    at += bytes.length
  }
  const cut = Math.floor(all.length / 2) + 1
  const entries = stored.map(({ name, weight, quantization }) => ({
    name,
    shape: weight.shape,
    dtype: weight.as === 'int32' ? 'int32' : 'float32',
    ...(quantization ? { quantization } : {}),
  }))
  const paths = ['group1-shard1of2.bin', 'group1-shard2of2.bin']
  const weightsManifest = [{ paths, weights: entries }]
  const json = new TextEncoder().encode(JSON.stringify({ format, modelTopology, weightsManifest, ...more }))
  return {
    json,
    shards: new Map([
      [paths[0], all.slice(0, cut)],
      [paths[1], all.slice(cut)],
    ]),
  }
}

function encodeWeight({ data, as = 'float32' }: Weight): { bytes: Uint8Array; quantization?: object } {
  if (as === 'float32') return { bytes: new Uint8Array(Float32Array.from(data).buffer) }
  if (as === 'int32') return { bytes: new Uint8Array(Int32Array.from(data).buffer) }
  if (as === 'float16') {
    return { bytes: new Uint8Array(Uint16Array.from(data, halfBits).buffer), quantization: { dtype: as } }
  }
  const [scale, min] = [0.125, -1] // exact for the multiples of 1/8 from -1 to 1 that tests use
  const steps = data.map((x) => Math.round((x - min) / scale))
  const bytes = as === 'uint8' ? Uint8Array.from(steps) : new Uint8Array(Uint16Array.from(steps).buffer)
  return { bytes, quantization: { dtype: as, scale, min, original_dtype: 'float32' } }
}

/** Bits of a binary16, exact for small multiples of 1/8. */
function halfBits(x: number): number {
  if (x === 0) return 0
  const exponent = Math.floor(Math.log2(Math.abs(x)))
  return (x < 0 ? 0x8000 : 0) | ((exponent + 15) << 10) | ((Math.abs(x) / 2 ** exponent - 1) * 1024)
}
