// The script of a page's worker: one self-contained file beside the entry points.
import { hostClient, type WorkerScope } from './party/worker/host.js'

hostClient(globalThis as unknown as WorkerScope)
