// A helper's process.
import { listen } from '../../../src/net/websocket-server.node.js'
import { Helper } from '../../../src/party/helper/helper.js'
import type { Order } from '../parties.js'
import { complain, LOCAL, tell, used } from './report.js'

export async function playHelper({ job: { deadlineMs } }: Order): Promise<void> {
  const party = await Helper.create({ deadlineMs, onError: complain })
  const { url } = await listen({ ...LOCAL, onConnection: (channel) => void party.run(channel) })
  process.on('message', () => tell(used()))
  tell({ url })
}
