// Softplus as PyTorch's default exporter writes it: beyond a threshold the value itself is taken, which softplus is there to
// the last bit of a float32. What is compared for nothing is left out.
import type { OnnxModel, OnnxNode } from './proto.js'
import { decodeTensor } from './tensor.js'

/** From here on log(1 + exp(x)) is x in float32, or the neighbouring number. */
const LINEAR_FROM = 15

/** The graph with every Where(x > 20, x, softplus(x)) as its softplus alone. */
export function withoutSoftplusGuards(model: OnnxModel): OnnxModel {
  const maker = new Map<string, OnnxNode>()
  for (const node of model.nodes) for (const name of node.outputs) maker.set(name, node)
  const made = (name: string, op: string): OnnxNode | undefined => {
    const node = maker.get(name)
    return node?.op === op && node.domain === '' ? node : undefined
  }
  const numberOf = (name: string): number | undefined => {
    const tensor = model.initializers.find((each) => each.name === name)
    const decoded =
      tensor &&
      decodeTensor(
        tensor,
        name,
        () => {},
        () => {},
      )
    return decoded?.floats?.length === 1 ? decoded.floats[0] : undefined
  }
  /** The value within softplus(x), or softplus(beta · x) / beta, and what softplus reads. */
  const insideOf = (name: string): { readonly x: string; readonly read: string } | undefined => {
    const division = made(name, 'Div')
    const softplus = made(division ? division.inputs[0] : name, 'Softplus')
    if (!softplus) return undefined
    const [read] = softplus.inputs
    if (!division) return { x: read, read }
    const product = made(read, 'Mul')
    return product?.inputs[1] === division.inputs[1] ? { x: product.inputs[0], read } : undefined
  }
  const nodes = model.nodes.map((node): OnnxNode => {
    const [condition, x, otherwise] = node.inputs
    const compared = node.op === 'Where' ? made(condition, 'Greater') : undefined
    const inside = compared && insideOf(otherwise)
    if (!inside || inside.x !== x || compared.inputs[0] !== inside.read) return node
    const threshold = numberOf(compared.inputs[1])
    return threshold !== undefined && threshold >= LINEAR_FROM ? { ...node, op: 'Identity', inputs: [otherwise] } : node
  })
  return { ...model, nodes }
}
