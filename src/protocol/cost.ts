// What a gadget costs, declared beside the gadget as a function of public shapes; a test compares it with the meter.

/** Payload bytes of one inference, without frame headers; flights are one-way waves between client and server. */
export interface Cost {
  readonly flights: number
  readonly online: { readonly up: number; readonly down: number }
  readonly offline: { readonly clientUp: number; readonly helperToServer: number }
}

export const NO_COST: Cost = { flights: 0, online: { up: 0, down: 0 }, offline: { clientUp: 0, helperToServer: 0 } }

export function addCost(a: Cost, b: Cost): Cost {
  return {
    flights: a.flights + b.flights,
    online: { up: a.online.up + b.online.up, down: a.online.down + b.online.down },
    offline: {
      clientUp: a.offline.clientUp + b.offline.clientUp,
      helperToServer: a.offline.helperToServer + b.offline.helperToServer,
    },
  }
}
