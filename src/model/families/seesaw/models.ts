// The Seesaw networks that have a name of their own.

export interface SeesawModel {
  readonly name: string
  readonly dataset: 'cifar' | 'imagenet'
  /** Sample layers per stage. */
  readonly blockConfig: readonly number[]
}

export const seesawModels: readonly SeesawModel[] = [
  { name: 'supermodel8', dataset: 'imagenet', blockConfig: [2, 2, 2] },
  { name: 'supermodel16', dataset: 'imagenet', blockConfig: [2, 4] },
  { name: 'supermodel50', dataset: 'imagenet', blockConfig: [3, 4, 6, 3] },
  { name: 'supermodel101', dataset: 'imagenet', blockConfig: [3, 4, 23, 3] },
  { name: 'cifarsupermodel16', dataset: 'cifar', blockConfig: [2, 2, 2, 2] },
  { name: 'cifarsupermodel22', dataset: 'cifar', blockConfig: [2, 2, 2] },
  { name: 'cifarsupermodel26', dataset: 'cifar', blockConfig: [2, 2] },
  { name: 'cifarsupermodel50', dataset: 'cifar', blockConfig: [3, 4, 6, 3] },
  { name: 'cifarsupermodel80', dataset: 'cifar', blockConfig: [3, 4, 16, 3] },
  { name: 'cifarsupermodel101', dataset: 'cifar', blockConfig: [3, 4, 23, 3] },
  { name: 'cifarsupermodel152', dataset: 'cifar', blockConfig: [3, 8, 36, 3] },
]

/** Sample layers in all, which is also the number of choice keys. */
export function depthOf({ blockConfig }: Pick<SeesawModel, 'blockConfig'>): number {
  return blockConfig.reduce((sum, n) => sum + n, 0)
}

/** The models with this many sample layers, and so choice keys; of the other data set when this one has none. */
export function modelsOfDepth(keys: number, dataset: SeesawModel['dataset']): readonly SeesawModel[] {
  const fitting = seesawModels.filter((model) => depthOf(model) === keys)
  const sameData = fitting.filter((model) => model.dataset === dataset)
  return sameData.length > 0 ? sameData : fitting
}
