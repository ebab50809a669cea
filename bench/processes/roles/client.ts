// A client's process. The input is made here: its network is the server's.
import { connect, type NetworkProfile, networkProfiles, shape, wait } from '../../../src/net/index.js'
import { Client } from '../../../src/party/client/client.js'
import { sampleValues } from '../../../test/fixtures/sample-input.js'
import type { ClientOrder, ClientReport, Question, Run } from '../parties.js'
import { tell, used } from './report.js'

export async function playClient({ job, server: serverUrl, helper: helperUrl }: ClientOrder): Promise<void> {
  const { profile, deadlineMs } = job
  const near = typeof profile === 'string' ? networkProfiles[profile] : profile
  const far = typeof profile === 'string' ? undefined : profile
  const to = (url: string, between: NetworkProfile | undefined) => async () => {
    const wire = await connect(url)
    return between ? shape(wire, typeof profile === 'string' ? between : { ...between, sleep: wait }) : wire
  }
  const began = performance.now()
  const party = await Client.create({ server: to(serverUrl, near), helper: to(helperUrl, far), deadlineMs })
  const setup = party.traffic.links
  const joined = performance.now() - began
  const input = sampleValues(party.plan.input.shape, 7)
  let inferences = 0
  const run = async (): Promise<Run> => {
    const started = performance.now()
    await party.prepare()
    const offlineMs = performance.now() - started
    if (job.pauseMs) await new Promise((resolve) => setTimeout(resolve, job.pauseMs))
    const { milliseconds } = await party.run(input)
    inferences++
    return { offlineMs, onlineMs: milliseconds }
  }
  let done = 0
  const load = async (): Promise<void> => {
    function* source() {
      for (;;) yield input
    }
    for await (const { error } of party.runMany(source(), { inFlight: job.inFlight })) {
      if (error) throw error
      done++
    }
  }
  const report = (): ClientReport => {
    const { links } = party.traffic
    const each = (bytes: number) => bytes / inferences
    const { online } = links.server
    const helper = each(links.helper.online.bytesSent + links.helper.online.bytesReceived)
    const [up, down, flights] = [online.bytesSent, online.bytesReceived, online.flights].map(each)
    return {
      ...used(),
      done,
      online: { up, down, helper, flights },
      offline: {
        clientUp: each(links.server.offline.bytesSent + links.helper.offline.bytesSent),
        clientDown: each(links.server.offline.bytesReceived + links.helper.offline.bytesReceived),
      },
      setup: {
        clientUp: setup.server.setup.bytesSent + setup.helper.setup.bytesSent,
        clientDown: setup.server.setup.bytesReceived + setup.helper.setup.bytesReceived,
      },
    }
  }
  /** By a client that leaves afterwards, and all that was prepared with it. */
  const stock = async (): Promise<void> => {
    const one = await Client.create({ server: to(serverUrl, near), helper: to(helperUrl, far) })
    await one.prepare(job.runs)
    await one.release()
  }
  process.on('message', async (question: Question) => {
    if (question === 'load') void load()
    else if (question === 'stock') tell((await stock()) ?? {})
    else if (question === 'prepare') tell((await party.prepare()) ?? {})
    else if (question === 'infer') tell((await party.run(input)).milliseconds)
    else tell(question === 'run' ? await run() : report())
  })
  tell({ client: joined })
}
