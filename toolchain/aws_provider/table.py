"""Every resource type that the stand-in knows, as calls of the AWS API. A new one is an entry here, and a row in the tests.

Inputs whose names are the API's but for case and plurals need no mention; `kinds` says what the words mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toolchain.aws_provider.kinds import EVERYTHING, Call, Fact, Fixed, Kind, Made, Read, Source

MANAGED = "Managed by Pulumi"


def _of_first(*values: Any) -> list[Any]:
    return [next(value for value in values if value is not None)]


def _flow_of(vpc: Any, subnet: Any, interface: Any) -> str:
    return "VPC" if vpc is not None else "Subnet" if subnet is not None else "NetworkInterface" if interface is not None else ""


def _permission(protocol: Any, low: Any, high: Any, cidr4: Any, cidr6: Any, group: Any, prefixes: Any, text: Any) -> list[dict[str, Any]]:
    """A security group's rule as EC2 takes it when it is made."""
    words = {} if text is None else {"Description": text}
    sources = {
        "IpRanges": cidr4 and {"CidrIp": cidr4, **words},
        "Ipv6Ranges": cidr6 and {"CidrIpv6": cidr6, **words},
        "UserIdGroupPairs": group and {"GroupId": group, **words},
        "PrefixListIds": prefixes and {"PrefixListId": prefixes, **words},
    }
    ports = {"FromPort": low, "ToPort": high}
    return [{"IpProtocol": protocol, **ports, **{key: [source] for key, source in sources.items() if source}}]


_RULE = ("ipProtocol", "fromPort", "toPort", "cidrIpv4", "cidrIpv6", "referencedSecurityGroupId", "prefixListId", "description")
_ALL_OUT = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]


def _ec2(noun: str, *, tagged: str, plural: str = "", read: str = "", **rest: Any) -> Kind:
    """EC2's ways: CreateX, DescribeXs, DeleteX; ``noun`` is the API's."""
    plural = plural or f"{noun}s"
    given: dict[str, Any] = {
        "create": Call(f"Create{noun}"),
        "identity": f"{noun}Id",
        "result": noun,
        "read": Read(f"Describe{plural}", read or f"{plural}[0]"),
        "delete": Call(f"Delete{noun}"),
        "outputs": {"arn": f"arn:<partition>:ec2:<region>:<account>:{tagged}/<{noun}Id>"},
        **rest,
    }
    resources = {"Resources": Fixed(["<id>"])}
    untag = Call("DeleteTags", {**resources, "Tags": Fact("Keys")})
    return Kind("ec2", tagged=tagged, tag=Call("CreateTags", resources), untag=untag, **given)


def _rule(direction: str) -> Kind:
    group, permissions = {"GroupId": "securityGroupId"}, {"IpPermissions": Made(_permission, _RULE)}
    names = {"CidrIpv4": "cidrIpv4", "CidrIpv6": "cidrIpv6", "ReferencedGroupId": "referencedSecurityGroupId"}
    changed = Made(lambda identity, *values: [{"SecurityGroupRuleId": identity, "SecurityGroupRule": _flat(*values)}], ("id", *_RULE))
    return _ec2(
        "SecurityGroupRule",
        tagged="security-group-rule",
        create=Call(f"AuthorizeSecurityGroup{direction}", {**group, **permissions}, only="securityGroupId"),
        result="SecurityGroupRules[0]",
        sets=(Call("ModifySecurityGroupRules", {**group, "SecurityGroupRules": changed}, only="securityGroupId"),),
        delete=Call(f"RevokeSecurityGroup{direction}", {**group, "SecurityGroupRuleIds": Fixed(["<id>"])}, only="securityGroupId"),
        replaces="securityGroupId",
        outputs={
            **{output: name for name, output in names.items() if name != "ReferencedGroupId"},
            "referencedSecurityGroupId": "ReferencedGroupInfo.GroupId",
            "arn": "arn:<partition>:ec2:<region>:<account>:security-group-rule/<SecurityGroupRuleId>",
        },
    )


def _flat(protocol: Any, low: Any, high: Any, cidr4: Any, cidr6: Any, group: Any, prefixes: Any, text: Any) -> dict[str, Any]:
    """A security group's rule as EC2 takes it when it is changed."""
    found = {"CidrIpv4": cidr4, "CidrIpv6": cidr6, "ReferencedGroupId": group, "PrefixListId": prefixes, "Description": text}
    return {"IpProtocol": protocol, "FromPort": low, "ToPort": high, **{key: item for key, item in found.items() if item is not None}}


_TEMPLATE: dict[str, Source] = {
    "LaunchTemplateData": EVERYTHING,
    "LaunchTemplateData.SecurityGroupIds": "vpcSecurityGroupIds",
}
_EC2 = {
    "aws:ec2/vpc:Vpc": _ec2(
        "Vpc",
        tagged="vpc",
        sets=(Call("ModifyVpcAttribute", only="enableDnsSupport"), Call("ModifyVpcAttribute", only="enableDnsHostnames")),
        replaces="cidrBlock instanceTenancy",
        also=(
            Read(
                "DescribeSecurityGroups",
                "SecurityGroups[0].{defaultSecurityGroupId: GroupId}",
                {"Filters": Fixed([{"Name": "vpc-id", "Values": ["<VpcId>"]}, {"Name": "group-name", "Values": ["default"]}])},
            ),
            Read(
                "DescribeRouteTables",
                "RouteTables[0].{mainRouteTableId: RouteTableId, defaultRouteTableId: RouteTableId}",
                {"Filters": Fixed([{"Name": "vpc-id", "Values": ["<VpcId>"]}, {"Name": "association.main", "Values": ["true"]}])},
            ),
            Read("DescribeVpcAttribute", "{enableDnsSupport: EnableDnsSupport.Value}", {"Attribute": Fixed("enableDnsSupport")}),
            Read("DescribeVpcAttribute", "{enableDnsHostnames: EnableDnsHostnames.Value}", {"Attribute": Fixed("enableDnsHostnames")}),
        ),
    ),
    "aws:ec2/subnet:Subnet": _ec2(
        "Subnet",
        tagged="subnet",
        sets=(Call("ModifySubnetAttribute", only="mapPublicIpOnLaunch"),),
        replaces="vpcId cidrBlock availabilityZone availabilityZoneId",
    ),
    "aws:ec2/routeTable:RouteTable": _ec2("RouteTable", tagged="route-table", replaces="vpcId", empty="routes propagatingVgws"),
    "aws:ec2/route:Route": Kind(
        "ec2",
        Call("CreateRoute"),
        "RouteTableId DestinationCidrBlock",
        id="r-<RouteTableId>-<DestinationCidrBlock>",
        read=Read("DescribeRouteTables", "RouteTables[0].Routes[?DestinationCidrBlock=='<DestinationCidrBlock>'] | [0]"),
        sets=(Call("ReplaceRoute"),),
        delete=Call("DeleteRoute", only="routeTableId destinationCidrBlock"),
        replaces="routeTableId destinationCidrBlock destinationIpv6CidrBlock destinationPrefixListId",
    ),
    "aws:ec2/routeTableAssociation:RouteTableAssociation": Kind(
        "ec2",
        Call("AssociateRouteTable"),
        "AssociationId",
        read=Read(
            "DescribeRouteTables",
            "RouteTables[].Associations[] | [?RouteTableAssociationId=='<AssociationId>'] | [0]",
            {"RouteTableIds": Made(lambda table: [table], ("routeTableId",))},
        ),
        delete=Call("DisassociateRouteTable"),
        replaces="*",
    ),
    "aws:ec2/internetGateway:InternetGateway": _ec2(
        "InternetGateway",
        tagged="internet-gateway",
        sets=(Call("AttachInternetGateway"),),
        before_delete=(Call("DetachInternetGateway"),),
        replaces="vpcId",
    ),
    "aws:ec2/eip:Eip": _ec2(
        "Address",
        tagged="elastic-ip",
        plural="Addresses",
        create=Call("AllocateAddress"),
        identity="AllocationId",
        result="@",
        delete=Call("ReleaseAddress"),
        replaces="*",
        outputs={"arn": "arn:<partition>:ec2:<region>:<account>:elastic-ip/<AllocationId>", "privateIp": "PrivateIpAddress"},
    ),
    "aws:ec2/natGateway:NatGateway": _ec2(
        "NatGateway",
        tagged="natgateway",
        read="NatGateways[?State!='deleted'] | [0]",
        replaces="*",
        outputs={
            "publicIp": "NatGatewayAddresses[0].PublicIp",
            "privateIp": "NatGatewayAddresses[0].PrivateIp",
            "networkInterfaceId": "NatGatewayAddresses[0].NetworkInterfaceId",
        },
    ),
    "aws:ec2/vpcEndpoint:VpcEndpoint": _ec2(
        "VpcEndpoint",
        tagged="vpc-endpoint",
        create=Call("CreateVpcEndpoint", {"PolicyDocument": "policy"}),
        sets=(Call("ModifyVpcEndpoint", {"PolicyDocument": "policy"}, only="policy privateDnsEnabled"),),
        delete=Call("DeleteVpcEndpoints", {"VpcEndpointIds": Fixed(["<id>"])}, only=""),
        replaces="vpcId serviceName vpcEndpointType",
        outputs={"arn": "arn:<partition>:ec2:<region>:<account>:vpc-endpoint/<VpcEndpointId>", "securityGroupIds": "Groups[].GroupId"},
    ),
    "aws:ec2/flowLog:FlowLog": _ec2(
        "FlowLog",
        tagged="vpc-flow-log",
        create=Call(
            "CreateFlowLogs",
            {
                "ResourceIds": Made(_of_first, ("vpcId", "subnetId", "eniId")),
                "ResourceType": Made(_flow_of, ("vpcId", "subnetId", "eniId")),
                "DeliverLogsPermissionArn": "iamRoleArn",
            },
        ),
        result="{FlowLogId: FlowLogIds[0]}",
        delete=Call("DeleteFlowLogs", {"FlowLogIds": Fixed(["<id>"])}, only=""),
        replaces="*",
        defaults={"maxAggregationInterval": 600},
    ),
    "aws:ec2/securityGroup:SecurityGroup": _ec2(
        "SecurityGroup",
        tagged="security-group",
        create=Call("CreateSecurityGroup", {"GroupName": "name"}),
        identity="GroupId",
        result="@",
        # EC2 gives a new group a rule that lets everything out; the official provider takes it away.
        after=(Call("RevokeSecurityGroupEgress", {"IpPermissions": Fixed(_ALL_OUT)}, only=""),),
        delete=Call("DeleteSecurityGroup", only=""),
        replaces="name namePrefix description vpcId",
        name="name",
        defaults={"description": MANAGED},
        silent="revokeRulesOnDelete namePrefix",
        empty="ingress egress",
        outputs={"arn": "arn:<partition>:ec2:<region>:<account>:security-group/<GroupId>", "name": "GroupName"},
    ),
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": _ec2(
        "SecurityGroup",
        tagged="security-group",
        create=Call(
            "DescribeSecurityGroups",
            {"Filters": Made(lambda vpc: [{"Name": "vpc-id", "Values": [vpc]}, {"Name": "group-name", "Values": ["default"]}], ("vpcId",))},
        ),
        identity="GroupId",
        result="SecurityGroups[0]",
        after=(
            Call("RevokeSecurityGroupIngress", {"IpPermissions": Fact("IpPermissions")}, only=""),
            Call("RevokeSecurityGroupEgress", {"IpPermissions": Fact("IpPermissionsEgress")}, only=""),
        ),
        delete=None,
        replaces="vpcId",
        silent="revokeRulesOnDelete",
        empty="ingress egress",
        outputs={"arn": "arn:<partition>:ec2:<region>:<account>:security-group/<GroupId>", "name": "GroupName"},
    ),
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": _rule("Ingress"),
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": _rule("Egress"),
    "aws:ec2/launchTemplate:LaunchTemplate": _ec2(
        "LaunchTemplate",
        tagged="launch-template",
        create=Call("CreateLaunchTemplate", {"LaunchTemplateName": "name", "VersionDescription": "description", **_TEMPLATE}),
        sets=(Call("CreateLaunchTemplateVersion", {"LaunchTemplateId": Fixed("<id>"), "VersionDescription": "description", **_TEMPLATE}),),
        delete=Call("DeleteLaunchTemplate", {"LaunchTemplateId": Fixed("<id>")}, only=""),
        replaces="name namePrefix",
        name="name",
        silent="updateDefaultVersion namePrefix",
        outputs={
            "arn": "arn:<partition>:ec2:<region>:<account>:launch-template/<LaunchTemplateId>",
            "name": "LaunchTemplateName",
            "latestVersion": "LatestVersionNumber",
            "defaultVersion": "DefaultVersionNumber",
        },
    ),
}

_EKS_TAGS = {"resourceArn": Fixed("<arn>")}


def _eks(create: Call, identity: str, **rest: Any) -> Kind:
    return Kind("eks", create, identity, tag=Call("TagResource", _EKS_TAGS), untag=Call("UntagResource", _EKS_TAGS), **rest)


def _logging(kinds: Any) -> dict[str, Any]:
    every = ["api", "audit", "authenticator", "controllerManager", "scheduler"]
    off = [kind for kind in every if kind not in kinds]
    found = [{"types": list(kinds), "enabled": True}] if kinds else []
    return {"clusterLogging": [*found, *([{"types": off, "enabled": False}] if off else [])]}


def _mode(access: Any) -> dict[str, Any]:
    """Of how a cluster is entered, what can be changed later."""
    return {key: value for key, value in access.items() if key == "authenticationMode"}


_VPC_CONFIG = {"resourcesVpcConfig": "vpcConfig"}
_CLUSTER_LOGS = {"logging": Made(_logging, ("enabledClusterLogTypes",))}
_EKS = {
    "aws:eks/cluster:Cluster": _eks(
        Call("CreateCluster", {**_VPC_CONFIG, **_CLUSTER_LOGS}),
        "name",
        result="cluster",
        read=Read("DescribeCluster", "cluster"),
        # EKS takes one kind of change at a time.
        sets=(
            Call("UpdateClusterConfig", _VPC_CONFIG, only="vpcConfig"),
            Call("UpdateClusterConfig", _CLUSTER_LOGS, only="enabledClusterLogTypes"),
            Call("UpdateClusterConfig", {"accessConfig": Made(_mode, ("accessConfig",))}, only="accessConfig"),
            Call("UpdateClusterConfig", only="upgradePolicy"),
            Call("UpdateClusterConfig", only="zonalShiftConfig"),
            Call("UpdateClusterConfig", only="deletionProtection"),
            Call("UpdateClusterConfig", only="computeConfig kubernetesNetworkConfig storageConfig"),
            Call("UpdateClusterVersion", only="version"),
        ),
        delete=Call("DeleteCluster"),
        replaces="name roleArn encryptionConfig bootstrapSelfManagedAddons accessConfig.bootstrapClusterCreatorAdminPermissions"
        " kubernetesNetworkConfig.serviceIpv4Cidr kubernetesNetworkConfig.ipFamily outpostConfig",
        name="name",
        silent="forceUpdateVersion defaultAddonsToRemoves",
        # A simulator gives a cluster no security group of its own: its VPC's default one stands for it.
        also=(
            Read("DescribeSubnets", "Subnets[0].{vpc: VpcId}", {"SubnetIds": Fact("resourcesVpcConfig.subnetIds")}, service="ec2"),
            Read(
                "DescribeSecurityGroups",
                "SecurityGroups[0].{group: GroupId}",
                {"Filters": Fixed([{"Name": "vpc-id", "Values": ["<vpc>"]}, {"Name": "group-name", "Values": ["default"]}])},
                service="ec2",
            ),
        ),
        outputs={
            "vpcConfig": "merge({clusterSecurityGroupId: group, vpcId: vpc}, resourcesVpcConfig)",
            "enabledClusterLogTypes": "logging.clusterLogging[?enabled].types | []",
        },
    ),
    "aws:eks/nodeGroup:NodeGroup": _eks(
        Call("CreateNodegroup", {"nodegroupName": "nodeGroupName", "nodeRole": "nodeRoleArn", "subnets": "subnetIds"}),
        "clusterName nodegroupName",
        result="nodegroup",
        read=Read("DescribeNodegroup", "nodegroup"),
        sets=(
            Call("UpdateNodegroupConfig", {"labels": Made(lambda labels: {"addOrUpdateLabels": labels}, ("labels",))}, only="labels"),
            Call("UpdateNodegroupConfig", only="scalingConfig updateConfig nodeRepairConfig"),
            Call("UpdateNodegroupVersion", only="version releaseVersion launchTemplate"),
        ),
        delete=Call("DeleteNodegroup"),
        replaces="clusterName nodeGroupName nodeGroupNamePrefix nodeRoleArn subnetIds amiType capacityType diskSize instanceTypes"
        " remoteAccess launchTemplate.id launchTemplate.name",
        name="nodeGroupName",
        silent="forceUpdateVersion nodeGroupNamePrefix",
        outputs={"nodeRoleArn": "nodeRole", "arn": "nodegroupArn", "subnetIds": "subnets"},
    ),
    "aws:eks/addon:Addon": _eks(
        Call("CreateAddon", {"resolveConflicts": "resolveConflictsOnCreate"}),
        "clusterName addonName",
        sets=(Call("UpdateAddon", {"resolveConflicts": "resolveConflictsOnUpdate"}),),
        delete=Call("DeleteAddon"),
        replaces="clusterName addonName",
        silent="preserve",
        outputs={"arn": "arn:<partition>:eks:<region>:<account>:addon/<clusterName>/<addonName>/<hash>"},
        is_kept=True,
    ),
    "aws:eks/accessEntry:AccessEntry": _eks(
        Call("CreateAccessEntry"),
        "clusterName principalArn",
        sets=(Call("UpdateAccessEntry"),),
        delete=Call("DeleteAccessEntry"),
        replaces="clusterName principalArn type",
        outputs={"accessEntryArn": "arn:<partition>:eks:<region>:<account>:access-entry/<clusterName>/<hash>"},
        is_kept=True,
    ),
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation": _eks(
        Call("AssociateAccessPolicy"),
        "clusterName principalArn policyArn",
        id="<clusterName>#<principalArn>#<policyArn>",
        delete=Call("DisassociateAccessPolicy"),
        replaces="*",
        is_kept=True,
    ),
    "aws:eks/podIdentityAssociation:PodIdentityAssociation": _eks(
        Call("CreatePodIdentityAssociation"),
        "clusterName associationId",
        id="<associationId>",
        sets=(Call("UpdatePodIdentityAssociation"),),
        delete=Call("DeletePodIdentityAssociation"),
        replaces="clusterName namespace serviceAccount",
        outputs={
            "associationId": "a-<hash>",
            "associationArn": "arn:<partition>:eks:<region>:<account>:podidentityassociation/<clusterName>/a-<hash>",
        },
        is_kept=True,
    ),
}

_IAM = {
    "aws:iam/role:Role": Kind(
        "iam",
        Call("CreateRole", {"RoleName": "name", "AssumeRolePolicyDocument": "assumeRolePolicy"}),
        "RoleName",
        result="Role",
        read=Read("GetRole", "Role"),
        sets=(
            Call("UpdateAssumeRolePolicy", {"PolicyDocument": "assumeRolePolicy"}),
            Call("UpdateRole", only="description maxSessionDuration"),
            Call("PutRolePermissionsBoundary"),
        ),
        delete=Call("DeleteRole"),
        tag=Call("TagRole"),
        untag=Call("UntagRole"),
        replaces="name namePrefix path",
        name="name",
        defaults={"maxSessionDuration": 3600, "path": "/"},
        silent="forceDetachPolicies namePrefix",
        empty="inlinePolicies managedPolicyArns",
        outputs={"name": "RoleName", "uniqueId": "RoleId", "permissionsBoundary": "PermissionsBoundary.PermissionsBoundaryArn"},
    ),
    "aws:iam/rolePolicy:RolePolicy": Kind(
        "iam",
        Call("PutRolePolicy", {"RoleName": "role", "PolicyName": "name", "PolicyDocument": "policy"}),
        "RoleName PolicyName",
        read=Read("GetRolePolicy"),
        delete=Call("DeleteRolePolicy"),
        replaces="role name namePrefix",
        name="name",
        silent="namePrefix",
        is_put=True,
    ),
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": Kind(
        "iam",
        Call("AttachRolePolicy", {"RoleName": "role"}),
        "RoleName PolicyArn",
        id="<RoleName>/<PolicyArn>",
        read=Read("ListAttachedRolePolicies", "AttachedPolicies[?PolicyArn=='<PolicyArn>'] | [0]"),
        delete=Call("DetachRolePolicy"),
        replaces="*",
    ),
    "aws:iam/policy:Policy": Kind(
        "iam",
        Call("CreatePolicy", {"PolicyName": "name", "PolicyDocument": "policy"}),
        "PolicyArn=Arn",
        result="Policy",
        read=Read("GetPolicy", "Policy"),
        sets=(Call("CreatePolicyVersion", {"PolicyDocument": "policy", "SetAsDefault": Fixed(True)}),),
        delete=Call("DeletePolicy"),
        tag=Call("TagPolicy"),
        untag=Call("UntagPolicy"),
        replaces="name namePrefix path description",
        name="name",
        defaults={"path": "/"},
        silent="delayAfterPolicyCreationInMs namePrefix",
        outputs={"name": "PolicyName"},
    ),
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider": Kind(
        "iam",
        Call("CreateOpenIDConnectProvider"),
        "OpenIDConnectProviderArn",
        read=Read("GetOpenIDConnectProvider"),
        sets=(Call("UpdateOpenIDConnectProviderThumbprint", only="thumbprintLists"),),
        delete=Call("DeleteOpenIDConnectProvider"),
        tag=Call("TagOpenIDConnectProvider"),
        untag=Call("UntagOpenIDConnectProvider"),
        replaces="url",
        outputs={"arn": "<OpenIDConnectProviderArn>"},
    ),
}

_KMS = {
    "aws:kms/key:Key": Kind(
        "kms",
        Call("CreateKey"),
        "KeyId",
        result="KeyMetadata",
        read=Read("DescribeKey", "[KeyMetadata][?KeyState!='PendingDeletion'] | [0]"),
        also=(Read("GetKeyRotationStatus", "{enableKeyRotation: KeyRotationEnabled}"),),
        sets=(
            Call("EnableKeyRotation", only="rotationPeriodInDays enableKeyRotation", when=("enableKeyRotation", True)),
            Call("DisableKeyRotation", only="enableKeyRotation", when=("enableKeyRotation", False)),
            Call("DisableKey", only="isEnabled", when=("isEnabled", False)),
            Call("UpdateKeyDescription", only="description"),
            Call("PutKeyPolicy", only="policy"),
        ),
        delete=Call("ScheduleKeyDeletion", {"PendingWindowInDays": "deletionWindowInDays"}),
        tag=Call("TagResource"),
        untag=Call("UntagResource"),
        replaces="customerMasterKeySpec keyUsage multiRegion customKeyStoreId",
        silent="deletionWindowInDays",
        outputs={"isEnabled": "Enabled"},
    ),
    "aws:kms/alias:Alias": Kind(
        "kms",
        Call("CreateAlias", {"AliasName": "name"}),
        "AliasName",
        read=Read("ListAliases", "Aliases[?AliasName=='<AliasName>'] | [0]"),
        sets=(Call("UpdateAlias", only="targetKeyId"),),
        delete=Call("DeleteAlias"),
        replaces="name namePrefix",
        silent="namePrefix",
        outputs={
            "arn": "arn:<partition>:kms:<region>:<account>:<AliasName>",
            "targetKeyArn": "arn:<partition>:kms:<region>:<account>:key/<TargetKeyId>",
        },
    ),
}


def _s3(
    put: str, takes: Mapping[str, Any] | None = None, *, get: str = "", path: str = "@", delete: Call | None = None, **rest: Any
) -> Kind:
    """A setting of a bucket: PutX, GetX."""
    read = Read(get or put.replace("Put", "Get", 1), path)
    return Kind("s3", Call(put, takes or {}), "Bucket", read=read, delete=delete, replaces="bucket", is_put=True, **rest)


_S3 = {
    "aws:s3/bucket:Bucket": Kind(
        "s3",
        Call(
            "CreateBucket",
            {
                "ObjectLockEnabledForBucket": "objectLockEnabled",
                "CreateBucketConfiguration.LocationConstraint": Made(lambda place: None if place == "us-east-1" else place, ("region",)),
            },
        ),
        "Bucket",
        read=Read("HeadBucket"),
        contents=Read("ListObjectVersions", "[Versions, DeleteMarkers][] | [].{Key: Key, VersionId: VersionId}"),
        emptying=Call(
            "DeleteObjects",
            {"Delete.Objects": Fact("contents"), "BypassGovernanceRetention": Fixed(True)},
            only="forceDestroy bucket",
            when=("forceDestroy", True),
        ),
        delete=Call("DeleteBucket"),
        tag=Call("PutBucketTagging", {"Tagging.TagSet": Fact("Tags")}),
        replaces="bucket bucketPrefix objectLockEnabled",
        name="bucket",
        silent="forceDestroy bucketPrefix",
        empty="corsRules grants lifecycleRules",
        outputs={
            "arn": "arn:<partition>:s3:::<Bucket>",
            "bucketDomainName": "<Bucket>.s3.amazonaws.com",
            "bucketRegionalDomainName": "<Bucket>.s3.<region>.amazonaws.com",
            "bucketRegion": "<region>",
        },
    ),
    # A bucket can't go back to no versions at all; it goes itself.
    "aws:s3/bucketVersioning:BucketVersioning": _s3("PutBucketVersioning"),
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": _s3(
        "PutBucketEncryption",
        {"ServerSideEncryptionConfiguration": EVERYTHING},
        path="ServerSideEncryptionConfiguration",
        delete=Call("DeleteBucketEncryption"),
    ),
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": _s3(
        "PutPublicAccessBlock",
        {"PublicAccessBlockConfiguration": EVERYTHING},
        path="PublicAccessBlockConfiguration",
        delete=Call("DeletePublicAccessBlock"),
        silent="skipDestroy",
    ),
    "aws:s3/bucketPolicy:BucketPolicy": _s3("PutBucketPolicy", delete=Call("DeleteBucketPolicy")),
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": _s3(
        "PutBucketLifecycleConfiguration", {"LifecycleConfiguration": EVERYTHING}, delete=Call("DeleteBucketLifecycle")
    ),
    "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration": _s3(
        "PutObjectLockConfiguration",
        {"ObjectLockConfiguration": EVERYTHING},
        path="ObjectLockConfiguration",
        defaults={"objectLockEnabled": "Enabled"},
    ),
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": _s3(
        "PutBucketOwnershipControls",
        {"OwnershipControls": EVERYTHING},
        path="OwnershipControls",
        delete=Call("DeleteBucketOwnershipControls"),
    ),
    "aws:s3/bucketLogging:BucketLogging": _s3(
        "PutBucketLogging",
        {"BucketLoggingStatus.LoggingEnabled": EVERYTHING},
        path="LoggingEnabled",
        delete=Call("PutBucketLogging", {"BucketLoggingStatus": Fixed({})}),
    ),
}


def _rds(noun: str, **rest: Any) -> Kind:
    arn = {"ResourceName": Fixed("<arn>")}
    return Kind(
        "rds",
        identity=f"{noun}Name" if "identity" not in rest else rest.pop("identity"),
        result=noun,
        read=Read(f"Describe{noun}s", f"{noun}s[0]"),
        tag=Call("AddTagsToResource", arn),
        untag=Call("RemoveTagsFromResource", arn),
        **rest,
    )


def _parameters(parameters: Any) -> list[dict[str, Any]]:
    return [
        {"ParameterName": each["name"], "ParameterValue": each["value"], "ApplyMethod": each.get("applyMethod") or "immediate"}
        for each in parameters
    ]


_DATABASE = {
    "DBInstanceIdentifier": "identifier",
    "DBInstanceClass": "instanceClass",
    "PreferredBackupWindow": "backupWindow",
    "PreferredMaintenanceWindow": "maintenanceWindow",
    "MasterUserPassword": "password",
    "DBParameterGroupName": "parameterGroupName",
    "CACertificateIdentifier": "caCertIdentifier",
    "EnableIAMDatabaseAuthentication": "iamDatabaseAuthenticationEnabled",
    "EnablePerformanceInsights": "performanceInsightsEnabled",
}
_RDS = {
    "aws:rds/instance:Instance": _rds(
        "DBInstance",
        identity="DBInstanceIdentifier",
        create=Call(
            "CreateDBInstance", {**_DATABASE, "MasterUsername": "username", "EnableCloudwatchLogsExports": "enabledCloudwatchLogsExports"}
        ),
        id="<DbiResourceId>",
        sets=(
            Call(
                "ModifyDBInstance",
                {**_DATABASE, "ApplyImmediately": Fixed(True), "AllowMajorVersionUpgrade": "allowMajorVersionUpgrade"},
            ),
        ),
        delete=Call("DeleteDBInstance", {"FinalDBSnapshotIdentifier": "finalSnapshotIdentifier"}),
        replaces="identifier identifierPrefix engine username dbName kmsKeyId storageEncrypted dbSubnetGroupName availabilityZone"
        " characterSetName timezone enabledCloudwatchLogsExports",
        name="identifier",
        silent="skipFinalSnapshot finalSnapshotIdentifier deleteAutomatedBackups applyImmediately allowMajorVersionUpgrade"
        " identifierPrefix",
        outputs={
            "arn": "DBInstanceArn",
            "address": "Endpoint.Address",
            "port": "Endpoint.Port",
            "endpoint": "join(':', [Endpoint.Address, to_string(Endpoint.Port)])",
            "resourceId": "DbiResourceId",
            "status": "DBInstanceStatus",
            "engineVersionActual": "EngineVersion",
            "multiAz": "MultiAZ",
            "identifier": "DBInstanceIdentifier",
            "vpcSecurityGroupIds": "VpcSecurityGroups[].VpcSecurityGroupId",
        },
    ),
    "aws:rds/subnetGroup:SubnetGroup": _rds(
        "DBSubnetGroup",
        create=Call("CreateDBSubnetGroup", {"DBSubnetGroupName": "name", "DBSubnetGroupDescription": "description"}),
        sets=(Call("ModifyDBSubnetGroup", {"DBSubnetGroupDescription": "description"}),),
        delete=Call("DeleteDBSubnetGroup"),
        replaces="name namePrefix",
        name="name",
        silent="namePrefix",
        defaults={"description": MANAGED},
        outputs={"arn": "DBSubnetGroupArn", "name": "DBSubnetGroupName", "subnetIds": "Subnets[].SubnetIdentifier"},
    ),
    "aws:rds/parameterGroup:ParameterGroup": _rds(
        "DBParameterGroup",
        create=Call("CreateDBParameterGroup", {"DBParameterGroupName": "name", "DBParameterGroupFamily": "family"}),
        sets=(Call("ModifyDBParameterGroup", {"Parameters": Made(_parameters, ("parameters",))}, only="parameters"),),
        delete=Call("DeleteDBParameterGroup"),
        replaces="name namePrefix family description",
        name="name",
        silent="namePrefix skipDestroy",
        defaults={"description": MANAGED},
        outputs={"arn": "DBParameterGroupArn", "name": "DBParameterGroupName"},
    ),
}

_REPOSITORY = {"repositoryName": "repository"}
_ECR_TAGS = {"resourceArn": Fixed("<arn>")}
_ECR = {
    "aws:ecr/repository:Repository": Kind(
        "ecr",
        Call("CreateRepository", {"repositoryName": "name"}),
        "repositoryName",
        result="repository",
        read=Read("DescribeRepositories", "repositories[0]"),
        sets=(Call("PutImageTagMutability"), Call("PutImageScanningConfiguration")),
        delete=Call("DeleteRepository", {"force": "forceDelete"}),
        tag=Call("TagResource", _ECR_TAGS),
        untag=Call("UntagResource", _ECR_TAGS),
        replaces="name encryptionConfigurations",
        name="name",
        silent="forceDelete",
        outputs={"arn": "repositoryArn", "repositoryUrl": "repositoryUri", "name": "repositoryName"},
    ),
    "aws:ecr/lifecyclePolicy:LifecyclePolicy": Kind(
        "ecr",
        Call("PutLifecyclePolicy", {**_REPOSITORY, "lifecyclePolicyText": "policy"}),
        "repositoryName",
        read=Read("GetLifecyclePolicy"),
        delete=Call("DeleteLifecyclePolicy"),
        replaces="repository",
        is_put=True,
    ),
    "aws:ecr/repositoryPolicy:RepositoryPolicy": Kind(
        "ecr",
        Call("SetRepositoryPolicy", {**_REPOSITORY, "policyText": "policy"}),
        "repositoryName",
        read=Read("GetRepositoryPolicy"),
        delete=Call("DeleteRepositoryPolicy"),
        replaces="repository",
        is_put=True,
    ),
}


def _budget(name: Any, kind: Any, unit: Any, amount: Any, currency: Any, filters: Any, start: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"BudgetName": name, "BudgetType": kind, "TimeUnit": unit}
    if amount is not None:
        found["BudgetLimit"] = {"Amount": amount, "Unit": currency or "USD"}
    if filters:
        found["CostFilters"] = {each["name"]: each["values"] for each in filters}
    return {**found, **({"TimePeriod": {"Start": start}} if start else {})}


def _notifications(given: Any) -> list[dict[str, Any]]:
    return [
        {
            "Notification": {
                "NotificationType": each["notificationType"],
                "ComparisonOperator": each["comparisonOperator"],
                "Threshold": each["threshold"],
                "ThresholdType": each["thresholdType"],
            },
            "Subscribers": [
                {"SubscriptionType": kind, "Address": address}
                for kind, key in (("EMAIL", "subscriberEmailAddresses"), ("SNS", "subscriberSnsTopicArns"))
                for address in each.get(key) or []
            ],
        }
        for each in given
    ]


def _attributes(display: Any, key: Any, policy: Any, delivery: Any) -> dict[str, str]:
    found = {"DisplayName": display, "KmsMasterKeyId": key, "Policy": policy, "DeliveryPolicy": delivery}
    return {name: str(value) for name, value in found.items() if value is not None}


_BUDGET = Made(_budget, ("name", "budgetType", "timeUnit", "limitAmount", "limitUnit", "costFilters", "timePeriodStart"))
_ACCOUNT = {"AccountId": Fixed("<account>")}
_BUDGET_TAGS = {"ResourceARN": Fixed("<arn>")}
_LOG_TAGS = {"resourceArn": Fixed("<arn>")}
_TOPIC_TAGS = {"ResourceArn": Fixed("<arn>")}
_OTHERS = {
    "aws:cloudwatch/logGroup:LogGroup": Kind(
        "logs",
        Call("CreateLogGroup", {"logGroupName": "name"}),
        "logGroupName",
        read=Read("DescribeLogGroups", "logGroups[?logGroupName=='<logGroupName>'] | [0]", {"logGroupNamePrefix": Fixed("<logGroupName>")}),
        sets=(Call("PutRetentionPolicy"), Call("AssociateKmsKey", only="kmsKeyId")),
        delete=Call("DeleteLogGroup"),
        tag=Call("TagResource", _LOG_TAGS),
        untag=Call("UntagResource", _LOG_TAGS),
        replaces="name namePrefix logGroupClass",
        name="name",
        silent="skipDestroy namePrefix",
        outputs={"arn": "arn:<partition>:logs:<region>:<account>:log-group:<logGroupName>", "name": "logGroupName"},
    ),
    "aws:budgets/budget:Budget": Kind(
        "budgets",
        Call(
            "CreateBudget",
            {**_ACCOUNT, "Budget": _BUDGET, "NotificationsWithSubscribers": Made(_notifications, ("notifications",))},
        ),
        "BudgetName=Budget.BudgetName",
        id="<account>:<BudgetName>",
        read=Read("DescribeBudget", "Budget", {**_ACCOUNT, "BudgetName": Fixed("<BudgetName>")}),
        sets=(Call("UpdateBudget", {**_ACCOUNT, "NewBudget": _BUDGET}),),
        delete=Call("DeleteBudget", _ACCOUNT),
        tag=Call("TagResource", _BUDGET_TAGS),
        untag=Call("UntagResource", _BUDGET_TAGS),
        replaces="name namePrefix accountId",
        name="name",
        silent="namePrefix",
        outputs={"arn": "arn:<partition>:budgets::<account>:budget/<BudgetName>", "accountId": "<account>"},
    ),
    "aws:sns/topic:Topic": Kind(
        "sns",
        Call("CreateTopic", {"Attributes": Made(_attributes, ("displayName", "kmsMasterKeyId", "policy", "deliveryPolicy"))}),
        "TopicArn",
        read=Read("GetTopicAttributes", "Attributes"),
        sets=tuple(
            Call("SetTopicAttributes", {"AttributeName": Fixed(attribute), "AttributeValue": name}, only=name)
            for name, attribute in (("displayName", "DisplayName"), ("kmsMasterKeyId", "KmsMasterKeyId"), ("policy", "Policy"))
        ),
        delete=Call("DeleteTopic"),
        tag=Call("TagResource", _TOPIC_TAGS),
        untag=Call("UntagResource", _TOPIC_TAGS),
        replaces="name namePrefix fifoTopic",
        name="name",
        silent="namePrefix",
        outputs={"arn": "<TopicArn>"},
    ),
    "aws:sns/topicPolicy:TopicPolicy": Kind(
        "sns",
        Call("SetTopicAttributes", {"TopicArn": "arn", "AttributeName": Fixed("Policy"), "AttributeValue": "policy"}),
        "TopicArn",
        read=Read("GetTopicAttributes", "Attributes"),
        replaces="arn",
        outputs={"owner": "<account>"},
        is_put=True,
    ),
}

KINDS: dict[str, Kind] = {**_EC2, **_EKS, **_IAM, **_KMS, **_S3, **_RDS, **_ECR, **_OTHERS}
