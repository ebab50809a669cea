// The networks that the page lets one choose among: those that come with ringfence.
import { findModel, loadModelDirectory } from 'ringfence/node'

const NAMES = ['resnet20-cifar10', 'mnist-cnn3']

/** By name; the first is shown at first. */
export const models = new Map(
  await Promise.all(NAMES.map(async (name) => [name, await loadModelDirectory(findModel(name))])),
)

/** The model that an address asks for with `?model=NAME`; the first where it asks for none, or for one that is not there. */
export const chosen = (query, all) => all.get(query.get('model')) ?? [...all.values()][0]
