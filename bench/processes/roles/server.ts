// A server's process.
import { loadModelDirectory } from '../../../src/files/model-directory.js'
import { connect, Meter } from '../../../src/net/index.js'
import { listen } from '../../../src/net/websocket-server.node.js'
import { Server } from '../../../src/party/server.js'
import { compile } from '../../../src/plan/compile/compile.js'
import type { ServerOrder } from '../parties.js'
import { complain, LOCAL, tell, used } from './report.js'

export async function playServer({ job, helper }: ServerOrder): Promise<void> {
  const meter = new Meter()
  const { compiled, compileMs: compile } = await compiledModel(job)
  const began = performance.now()
  const store = job.storeBytes ? { storeBytes: job.storeBytes, storeShare: 1 } : {}
  const options = { meter, deadlineMs: job.deadlineMs, onError: complain, ...store }
  const party = await Server.create(compiled, () => connect(helper), options)
  const made = { compile, server: performance.now() - began }
  const { url } = await listen({ ...LOCAL, onConnection: (channel) => void party.run(channel) })
  process.on('message', () => {
    const { setup, offline, online } = meter.report().links.helper
    const helper = online.bytesSent + online.bytesReceived
    tell({ helperToServer: offline.bytesReceived, serverToHelper: setup.bytesSent, helper, ...used() })
  })
  tell({ url, ...made })
}

/** What a model is read and compiled from is gone with this call. */
async function compiledModel({ folder, workload }: ServerOrder['job']) {
  const { arch, weights, calibration, spec } = await loadModelDirectory(folder)
  const began = performance.now()
  const compiled = compile(arch, weights, calibration, spec, workload.options)
  return { compiled, compileMs: performance.now() - began }
}
