package plugin

// situation is why a resource is where it is, as a name for programs. docs/kubectl.md lists them.
type situation string

const (
	situationNoManager           situation = "NoManager"
	situationShardWithoutManager situation = "ShardWithoutManager"
	situationStoreUnavailable    situation = "StoreUnavailable"
	situationSchemaUnknown       situation = "SchemaUnknown"

	situationOpenRecord         situation = "OpenRecord"
	situationDraining           situation = "Draining"
	situationForeignFinalizer   situation = "ForeignFinalizer"
	situationWaitsForDependents situation = "WaitsForDependents"

	situationOutboxFull       situation = "OutboxFull"
	situationResourceTooLarge situation = "ResourceTooLarge"
	situationSecondHistory    situation = "SecondHistory"
	situationDeadLetter       situation = "DeadLetter"

	situationAwaitingApproval    situation = "AwaitingApproval"
	situationDecisionRefused     situation = "DecisionRefused"
	situationRemediationRefused  situation = "RemediationRefused"
	situationCoolingDown         situation = "CoolingDown"
	situationAnalysisBlocked     situation = "AnalysisBlocked"
	situationWorkflowBlocked     situation = "WorkflowBlocked"
	situationNotificationBlocked situation = "NotificationBlocked"
	situationForeignChild        situation = "ForeignChild"

	situationInvestigating        situation = "Investigating"
	situationInvestigationRetries situation = "InvestigationRetries"
	situationStepRunning          situation = "StepRunning"
	situationStepRetries          situation = "StepRetries"
	situationStepRollingBack      situation = "StepRollingBack"
	situationVerifying            situation = "Verifying"
	situationDeliveryRetries      situation = "DeliveryRetries"

	situationWaitsForChild situation = "WaitsForChild"
	situationInProgress    situation = "InProgress"
	situationTTLRunning    situation = "TTLRunning"
	situationKeptByOwner   situation = "KeptByOwner"
	situationEnded         situation = "Ended"
)
