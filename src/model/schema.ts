// The JSON Schema of `arch/1` files, for editors and other programs. What it cannot say (shapes that meet, references that
// exist) `parseArchitecture` checks.
import { families } from './families/index.js'
import { OPS } from './layers/grammar.js'

const size = { type: 'integer', minimum: 1 }
const text = { type: 'string', minLength: 1 }
const texts = { type: 'array', items: { type: 'string' } }

const preprocess = {
  description: 'how levels 0..255 of a picture become numbers: (level * scale - mean) / std, per channel',
  type: 'object',
  additionalProperties: false,
  properties: {
    scale: { type: 'number', default: 1 },
    mean: { type: 'array', items: { type: 'number' }, description: 'one number for all channels, or one each' },
    std: { type: 'array', items: { type: 'number', exclusiveMinimum: 0 } },
    order: { enum: ['rgb', 'bgr'], default: 'rgb', description: 'bgr: the network takes blue first' },
  },
}

const inputs = {
  type: 'array',
  minItems: 1,
  items: {
    type: 'object',
    additionalProperties: false,
    required: ['name', 'shape'],
    properties: {
      name: text,
      shape: { type: 'array', items: size, minItems: 1, maxItems: 3, description: '[channels,height,width] or [n]' },
      layout: { enum: ['chw', 'hwc'], default: 'chw', description: 'in which order the values of an input are given' },
      preprocess,
    },
  },
}

const weights = {
  description: 'how the file of weights names the tensors of layers',
  type: 'object',
  additionalProperties: false,
  properties: {
    layout: { enum: ['torch', 'keras', 'onnx', 'tfjs'], default: 'torch' },
    stripPrefix: { ...text, description: 'taken off the front of every name' },
    unwrap: { ...text, description: 'the entry of a checkpoint that holds the tensors' },
    map: { type: 'object', additionalProperties: { type: 'string' }, description: 'layer or layer.tensor to its name' },
  },
}

/** Fields that belong to ops; which op has which, docs/networks.md says. */
const layer = {
  type: 'object',
  required: ['id', 'op', 'in'],
  properties: {
    id: text,
    op: { enum: OPS },
    in: { ...texts, minItems: 1, description: 'ids of earlier layers or names of inputs' },
    out: { type: 'array', items: size, minItems: 1, maxItems: 6, description: 'its shape, checked where it is given' },
    specName: { ...text, description: 'what a ReLU spec calls it, when not by its id' },
    tensors: { type: 'object', additionalProperties: { type: 'string' }, description: 'names of its tensors' },
    cout: size,
    kernel: { type: 'array', items: size, minItems: 2, maxItems: 2 },
    stride: { type: 'array', items: size, minItems: 2, maxItems: 2 },
    pad: {
      type: 'array',
      items: { type: 'integer' },
      minItems: 4,
      maxItems: 4,
      description: 'top, left, bottom, right',
    },
  },
}

const common = {
  format: { const: 'arch/1' },
  name: text,
  outputs: { ...texts, minItems: 1, description: 'ids of the layers whose values go out' },
  labels: { ...texts, description: 'names of the classes, one per element of the only output' },
  choices: { type: 'object', additionalProperties: { type: 'integer', minimum: 0 }, description: 'options of choices' },
  weights,
  expect: { type: 'object', description: 'counts that the layers must make' },
}

/** JSON Schema (draft 2020-12) of `arch/1`: a file that lists its layers, or the short form of a family. */
export function architectureSchema(): Record<string, unknown> {
  const explicit = {
    title: 'every layer',
    type: 'object',
    additionalProperties: false,
    required: ['format', 'name', 'inputs', 'outputs', 'layers'],
    properties: {
      ...common,
      family: text,
      inputs,
      layers: { type: 'array', minItems: 1, items: layer },
    },
  }
  const short = {
    title: 'a published family',
    type: 'object',
    additionalProperties: false,
    required: ['format', 'name', 'family', 'params'],
    properties: {
      ...common,
      // Laid over the family's own, field by field.
      inputs: { ...inputs, items: { ...inputs.items, required: [] } },
      family: { enum: Object.keys(families) },
      params: { type: 'object', description: 'of the family, such as depth and numClasses' },
    },
  }
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'arch/1: a network of ringfence',
    oneOf: [explicit, short],
  }
}
