package wire

// Codes of a record that may stand in no block.
const (
	// CodeMalformed: not the canonical encoding, or a field outside its limits.
	CodeMalformed = "malformed"
	// CodeTooLarge: longer than max_record_bytes.
	CodeTooLarge = "too_large"
	// CodeUnknownSigner: no one of that name is registered.
	CodeUnknownSigner = "unknown_signer"
	// CodeBadSignature: the signer's key did not make this signature.
	CodeBadSignature = "bad_signature"
	// CodeWrongChain: made for another chain.
	CodeWrongChain = "wrong_chain"
	// CodeNotAllowed: the sender's role may not send this kind of record.
	CodeNotAllowed = "not_allowed"
	// CodeReplayed: the sender's counter was used before, or is too old to tell.
	CodeReplayed = "replayed"
	// CodeKeyChanged: signed by a key that the sender has changed since.
	CodeKeyChanged = "key_changed"
	// CodeRevoked: the member's key was revoked, and it takes part in nothing new.
	CodeRevoked = "revoked"
	// CodeSuspended: the member is suspended, and takes part in nothing new meanwhile.
	CodeSuspended = "suspended"
	// CodeRecoveryWrong: not the recovery key that was registered.
	CodeRecoveryWrong = "recovery_wrong"
)

// Codes of the market: a record refused with one of them stands in its block
// and changes nothing but its sender's replay window.
const (
	// CodeAlreadyRegistered: the id or the key is taken.
	CodeAlreadyRegistered = "already_registered"
	// CodeUnknownParticipant: the named participant is not registered for this.
	CodeUnknownParticipant = "unknown_participant"
	// CodeReferenceUsed: a deposit with this reference was made before.
	CodeReferenceUsed = "reference_used"
	// CodeMoneyLimit: the chain would hold more than its limit.
	CodeMoneyLimit = "money_limit"
	// CodeGateSeqOld: a gate change with this or a later number is known.
	CodeGateSeqOld = "gate_seq_old"
	// CodeGateNotOpen: the seller's gate is not open, by attestation or by chain.
	CodeGateNotOpen = "gate_not_open"
	// CodeAttestationInvalid: not the seller's signed word on its own gate.
	CodeAttestationInvalid = "attestation_invalid"
	// CodeAttestationExpired: not valid at block time, or for too long.
	CodeAttestationExpired = "attestation_expired"
	// CodeAttestationOld: the chain knows a newer gate change.
	CodeAttestationOld = "attestation_old"
	// CodeGateUnknown: the chain has not the gate change that an attestation stands on.
	CodeGateUnknown = "gate_unknown"
	// CodeGateChangeInvalid: what came along is no gate change of this device.
	CodeGateChangeInvalid = "gate_change_invalid"
	// CodeAlreadyDelivering: the seller delivers another trade, or it is held.
	CodeAlreadyDelivering = "already_delivering"
	// CodeHoldLimit: the delivery was held more often than max_holds.
	CodeHoldLimit = "hold_limit"
	// CodeBlacklisted: the participant's credit fell below the limit.
	CodeBlacklisted = "blacklisted"
	// CodeExpired: too late at block time.
	CodeExpired = "expired"
	// CodeTooFar: expires, or begins, further ahead than this chain allows.
	CodeTooFar = "too_far"
	// CodeRequestExists: the buyer has a standing request of this id.
	CodeRequestExists = "request_exists"
	// CodeRequestUnknown: the buyer has no standing request of this id.
	CodeRequestUnknown = "request_unknown"
	// CodeRequestAnswered: the request was answered before.
	CodeRequestAnswered = "request_answered"
	// CodeTooManyRequests: as many requests of the buyer stand unanswered as may.
	CodeTooManyRequests = "too_many_requests"
	// CodeTokenExists: the Token's id is taken.
	CodeTokenExists = "token_exists"
	// CodeVolumeWrong: the volume is more than was asked, offered or paid for.
	CodeVolumeWrong = "volume_wrong"
	// CodeEscrowWrong: the escrow is not volume times the request's highest price.
	CodeEscrowWrong = "escrow_wrong"
	// CodeInsufficientFunds: the wallet or the escrow does not hold so much.
	CodeInsufficientFunds = "insufficient_funds"
	// CodeComplianceWrong: the Token claims more kept or broken promises than the chain.
	CodeComplianceWrong = "compliance_wrong"
	// CodeTradeUnknown: there is no trade (Token) of this id.
	CodeTradeUnknown = "trade_unknown"
	// CodeNotYours: the sender has not this part in the trade.
	CodeNotYours = "not_yours"
	// CodeQuotesWrong: a Token or quotes of a centre's, where the ledger makes them.
	CodeQuotesWrong = "quotes_wrong"
	// CodeNoQuotes: the ledger finds no answer to the request now; it waits.
	CodeNoQuotes = "no_quotes"
	// CodeNoneTaken: none of a payment's choices can be taken.
	CodeNoneTaken = "none_taken"
	// CodeAlreadyPaid: the Token was used.
	CodeAlreadyPaid = "already_paid"
	// CodeOfferUnknown: the seller has no standing offer of this id.
	CodeOfferUnknown = "offer_unknown"
	// CodeOwnOffer: buyer and seller are one.
	CodeOwnOffer = "own_offer"
	// CodePriceWrong: not the offer's price, over the request's highest, or with the fee over the chain's.
	CodePriceWrong = "price_wrong"
	// CodeAmountWrong: not price times energy to the millionth.
	CodeAmountWrong = "amount_wrong"
	// CodeMeterNotYours: the meter is another participant's, or not this trade's.
	CodeMeterNotYours = "meter_not_yours"
	// CodeMeterUnknown: the meter is not registered.
	CodeMeterUnknown = "meter_unknown"
	// CodeMeterRetired: the meter was taken out of use.
	CodeMeterRetired = "meter_retired"
	// CodeMeterExists: a meter of this id or serial number is registered.
	CodeMeterExists = "meter_exists"
	// CodeMeterDirection: the meter does not count energy that way.
	CodeMeterDirection = "meter_direction"
	// CodeOverRatedPower: more energy than the meter's branch can carry in the time.
	CodeOverRatedPower = "over_rated_power"
	// CodeReadingTime: the reading was not made when it is stated.
	CodeReadingTime = "reading_time"
	// CodeMeterBusy: the meter measures another trade; a watt-hour counts once.
	CodeMeterBusy = "meter_busy"
	// CodeRegisterBack: the register is lower than a reading before.
	CodeRegisterBack = "register_back"
	// CodeWrongStatus: the trade's status does not allow this.
	CodeWrongStatus = "wrong_status"
	// CodeHoldWithoutHazard: no gate change of the hold's number has held this delivery.
	CodeHoldWithoutHazard = "hold_without_hazard"
	// CodeEnergyNotMetered: more, or other, energy than the meter counted.
	CodeEnergyNotMetered = "energy_not_metered"
	// CodeNothingDue: a tick, and nothing has run out.
	CodeNothingDue = "nothing_due"
	// CodeExposure: the open promises would pass what bond and credit allow.
	CodeExposure = "exposure"
	// CodeFinesDue: the participant has fines to pay first.
	CodeFinesDue = "fines_due"
	// CodeBondWrong: the bond does not hold so much, or so much of it stands for open promises.
	CodeBondWrong = "bond_wrong"
	// CodeAppealWrong: no one can appeal this trade, or no longer.
	CodeAppealWrong = "appeal_wrong"
	// CodeDepositWrong: no deposit of this reference is in such a state.
	CodeDepositWrong = "deposit_wrong"
	// CodeWithdrawalWrong: no withdrawal of this id is in such a state.
	CodeWithdrawalWrong = "withdrawal_wrong"
	// CodeDayLimit: more than may be deposited in a day.
	CodeDayLimit = "day_limit"
	// CodeCaseUnknown: no case is open about this trade.
	CodeCaseUnknown = "case_unknown"
	// CodeVerdictGiven: the arbiter has said so, or otherwise, before.
	CodeVerdictGiven = "verdict_given"
	// CodePossessionWrong: the new key's holder has not signed for this.
	CodePossessionWrong = "possession_wrong"
	// CodeKeyTooSoon: the member changed its key less than 100 blocks ago.
	CodeKeyTooSoon = "key_too_soon"
	// CodeStandingWrong: the member is not suspended, or not revoked, or is so already.
	CodeStandingWrong = "standing_wrong"
	// CodeSlotWrong: no slot of this chain begins then.
	CodeSlotWrong = "slot_wrong"
	// CodeSlotClosed: the slot takes no more orders.
	CodeSlotClosed = "slot_closed"
	// CodeSlotFull: as many orders stand for the slot as may.
	CodeSlotFull = "slot_full"
	// CodeSlotUnknown: the meter has no trade in a slot that begins or ends then.
	CodeSlotUnknown = "slot_unknown"
	// CodeReadingExists: what the meter showed then is known, and stays as it is.
	CodeReadingExists = "reading_exists"
	// CodePayIDWrong: the bill is not for this trade's payment.
	CodePayIDWrong = "pay_id_wrong"
)

// Codes of the agreement: a record refused with one of them stands
// in its block, as with those of the market.
const (
	// CodeEpochOver: a rejoin or report for another epoch than the present one, or evidence that is too old.
	CodeEpochOver = "epoch_over"
	// CodeReportExists: the aggregator has reported on this epoch.
	CodeReportExists = "report_exists"
	// CodeTooSoon: the aggregator rejoined, or changed itself, less than 100 blocks ago.
	CodeTooSoon = "too_soon"
	// CodeProofWrong: the new key has not signed for this id.
	CodeProofWrong = "proof_wrong"
	// CodeMemberUnknown: no data aggregator or centre of this id can be changed so.
	CodeMemberUnknown = "member_unknown"
	// CodeMembersLimit: too few would remain, too many would change in one epoch, or no place is left.
	CodeMembersLimit = "members_limit"
	// CodeChangePending: a change of this aggregator waits for the epoch's end.
	CodeChangePending = "change_pending"
	// CodeChangeAgreed: this centre has agreed to this change before.
	CodeChangeAgreed = "change_agreed"
	// CodeNoEquivocation: the two statements do not show that their signer has said two things of one place.
	CodeNoEquivocation = "no_equivocation"
	// CodeEquivocationTold: the aggregator was found out for this, and pays for it.
	CodeEquivocationTold = "equivocation_told"
)
