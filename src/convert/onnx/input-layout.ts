// Whether an image stands channels last in the file, as TensorFlow's exporter leaves it: a transpose follows.
import type { OnnxModel, OnnxNode } from './proto.js'

/** Ops that work on every element alike, wherever its channels are. */
const ALIKE: ReadonlySet<string> = new Set(['Add', 'Cast', 'Clip', 'Div', 'Identity', 'Max', 'Min', 'Mul', 'Sub'])
const TO_CHANNELS_FIRST = '0,3,1,2'

/** Whether everything that reads the input, element-wise steps aside, first brings its channels to the front. */
export function isChannelsLast(model: OnnxModel, input: string): boolean {
  const readers = new Map<string, OnnxNode[]>()
  for (const node of model.nodes) {
    for (const name of new Set(node.inputs)) {
      const list = readers.get(name)
      if (list) list.push(node)
      else readers.set(name, [node])
    }
  }
  const names = [input]
  const seen = new Set(names)
  let found = false
  for (let name = names.pop(); name !== undefined; name = names.pop()) {
    for (const { op, outputs, attributes } of readers.get(name) ?? []) {
      if (op === 'Transpose' && attributes.get('perm')?.ints.join() === TO_CHANNELS_FIRST) found = true
      else if (!ALIKE.has(op)) return false
      else {
        for (const output of outputs) {
          if (seen.has(output)) continue
          seen.add(output)
          names.push(output)
        }
      }
    }
  }
  return found
}
