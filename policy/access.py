"""Rules over who may do what on AWS: no wildcards, no strangers, no keys that last."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from policy.documents import document, principals, statements
from policy.limits import Limits
from policy.resource import Finding, Resource, Rule, at, items

KEY = "aws:kms/key:Key"
ROLE = "aws:iam/role:Role"
IDENTITY = (
    "aws:iam/policy:Policy",
    "aws:iam/rolePolicy:RolePolicy",
    "aws:iam/groupPolicy:GroupPolicy",
    "aws:iam/userPolicy:UserPolicy",
)
"""Documents that say what their holder may do, anywhere."""
ON_RESOURCE = (
    KEY,
    "aws:s3/bucketPolicy:BucketPolicy",
    "aws:sns/topicPolicy:TopicPolicy",
    "aws:sqs/queuePolicy:QueuePolicy",
    "aws:ecr/repositoryPolicy:RepositoryPolicy",
    "aws:secretsmanager/secretPolicy:SecretPolicy",
    "aws:ec2/vpcEndpoint:VpcEndpoint",
)
"""Documents that say who may do what with the one thing that they are on; ``*`` as a resource means that thing."""
LASTING = ("aws:iam/user:User", "aws:iam/accessKey:AccessKey", "aws:iam/userLoginProfile:UserLoginProfile")
ATTACHMENTS = (
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
    "aws:iam/userPolicyAttachment:UserPolicyAttachment",
    "aws:iam/groupPolicyAttachment:GroupPolicyAttachment",
    "aws:iam/policyAttachment:PolicyAttachment",
)
_BROAD = re.compile(r":aws:policy/(.*/)?(\w*FullAccess|AdministratorAccess|PowerUserAccess|IAMFullAccess)$")
_OWN = ("aws:ResourceTag/", "aws:RequestTag/", "kms:ResourceAliases")
"""Conditions by which a policy names resources that have no name before they are made."""
_NARROWING = ("aws:SourceAccount", "aws:SourceArn", "aws:PrincipalOrgID", "aws:PrincipalAccount", "aws:SourceVpce", "aws:SourceVpc")


def _documents(resource: Resource) -> Iterator[tuple[str, Any]]:
    """Each document of a resource with the property that holds it; a role's trust is looked at by its own rule."""
    if resource.props.get("policy") is not None:
        yield "policy", document(resource.props["policy"])
    for index, inline in enumerate(items(resource.props.get("inlinePolicies"))):
        yield f"inlinePolicies[{index}].policy", document(at(inline, "policy"))


def _allows(found: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for number, statement in enumerate(statements(found)):
        if statement.get("Effect") == "Allow":
            yield str(statement.get("Sid") or number), statement


def actions_are_named(resource: Resource, _limits: Limits) -> Iterator[Finding]:
    """Actions with a wildcard, and all but the named ones."""
    for where, found in _documents(resource):
        for sid, statement in _allows(found):
            wide = [str(action) for action in items(statement.get("Action")) if "*" in str(action)]
            wide += [f"all but {action}" for action in items(statement.get("NotAction"))]
            for action in wide:
                yield Finding(
                    what="a policy allows actions that nobody has named",
                    at=f"{where}: Statement[{sid}].Action",
                    got=action,
                    allowed="actions by their full names",
                    act="name what is used, or waive it with the reason",
                )


def resources_are_named(resource: Resource, _limits: Limits) -> Iterator[Finding]:
    """``*`` as a resource, or for all of one kind: one finding for each action. A condition on a tag or a key's alias names them too."""
    for where, found in _documents(resource):
        for sid, statement in _allows(found):
            if _has_condition(statement, _OWN):
                continue
            wide = [str(each) for each in items(statement.get("Resource")) if _is_anything(str(each))]
            wide += [f"all but {each}" for each in items(statement.get("NotResource"))]
            for action in items(statement.get("Action")) if wide else []:
                yield Finding(
                    what=f"a policy allows this on {wide[0]}",
                    at=f"{where}: Statement[{sid}].Resource",
                    got=action,
                    allowed="ARNs of the stack's own resources",
                    act="name them; an action that AWS knows no resource for is waived by its name",
                )


def _is_anything(arn: str) -> bool:
    """Whether an ARN means everything of a kind: ``*``, ``arn:aws:s3:::*``, ``arn:aws:kms:eu-west-1:111122223333:key/*``."""
    if not arn.startswith("arn:"):
        return arn == "*"
    service, resource = arn.split(":")[2], arn.split(":", 5)[-1]
    # Before the slash of S3 stands a bucket's name, elsewhere a kind.
    return re.fullmatch(r"\*(/\*)?" if service == "s3" else r"([\w-]+[/:])?\*(/\*|:\*)*", resource) is not None


def nobody_unknown(resource: Resource, _limits: Limits) -> Iterator[Finding]:
    """Everybody as the principal of a resource's own policy, without a condition that says which of them."""
    for where, found in _documents(resource):
        for sid, statement in _allows(found):
            if "*" in principals(statement) and not _has_condition(statement, _NARROWING):
                yield Finding(
                    what="everybody may do this, from any account",
                    at=f"{where}: Statement[{sid}].Principal",
                    got=json.dumps(statement.get("Principal")),
                    allowed="accounts, roles or services by name, or a condition on " + ", ".join(_NARROWING),
                    act="name them",
                )


def _has_condition(statement: Mapping[str, Any], on: tuple[str, ...]) -> bool:
    """Whether one of the keys of a statement's conditions begins with one of ``on``."""
    keys = [key for test in (statement.get("Condition") or {}).values() if isinstance(test, Mapping) for key in test]
    return any(key.startswith(on) for key in keys)


def trust_is_narrow(resource: Resource, _limits: Limits) -> Iterator[Finding]:
    """Who may take a role: never everybody, and of GitHub's workflows only those of named repositories and branches or environments."""
    for sid, statement in _allows(document(resource.props.get("assumeRolePolicy"))):
        where = f"assumeRolePolicy: Statement[{sid}]"
        if "*" in principals(statement):
            yield Finding(
                what="everybody may take this role",
                at=f"{where}.Principal",
                got="*",
                allowed="accounts, roles or services by name",
                act="name them",
            )
        if not any("token.actions.githubusercontent.com" in principal for principal in principals(statement)):
            continue
        subjects = [
            str(subject)
            for test in (statement.get("Condition") or {}).values()
            if isinstance(test, Mapping)
            for key, those in test.items()
            if key.endswith("githubusercontent.com:sub")
            for subject in items(those)
        ]
        for subject in subjects or ["no condition on :sub"]:
            if not re.fullmatch(r"repo:[^*?:/]+/[^*?:]+:[^*?].*", subject):
                yield Finding(
                    what="workflows of other repositories may take this role",
                    at=f"{where}.Condition",
                    got=subject,
                    allowed="repo:<owner>/<name>:environment:<stack>, ref:refs/heads/<branch> or pull_request",
                    act="name the repository, and what in it",
                )


def no_broad_attachment(resource: Resource, _limits: Limits) -> Iterator[Finding]:
    """AWS's own policies that allow whole services."""
    lists = [("policyArn", items(resource.props.get("policyArn"))), ("managedPolicyArns", items(resource.props.get("managedPolicyArns")))]
    for where, arns in lists:
        for arn in arns:
            if _BROAD.search(str(arn)):
                yield Finding(
                    what="a role gets more than its work needs", at=where, got=arn, allowed="a policy with what is used", act="write one"
                )


def no_lasting_keys(resource: Resource, _limits: Limits) -> Iterator[Finding]:
    """Users of IAM and their keys."""
    yield Finding(
        what="a user of IAM has keys or a password that last until somebody changes them",
        at="type",
        got=resource.type,
        allowed="roles: OIDC for workflows, Pod Identity for pods, the account's sign-in for people",
        act="use a role",
    )


RULES = (
    Rule(
        name="iam-actions",
        asks="Policies allow actions by name; no `*`, no `NotAction`.",
        why="`s3:*` also means deleting the bucket, and whatever AWS adds next year.",
        types=(*IDENTITY, *ON_RESOURCE, ROLE),
        check=actions_are_named,
    ),
    Rule(
        name="iam-resources",
        asks="Policies allow them on named resources, or on those with the stack's tag or alias; no `*`, no `NotResource`.",
        why="A role that was taken over reaches its own bucket, not the next team's.",
        types=(*IDENTITY, ROLE),
        check=resources_are_named,
    ),
    Rule(
        name="iam-strangers",
        asks="No policy on a resource lets everybody in without a condition that says who.",
        why="Most leaks of data on AWS were this line.",
        types=ON_RESOURCE,
        check=nobody_unknown,
    ),
    Rule(
        name="iam-trust",
        asks="Roles are taken by named accounts and services, and by workflows of a named repository and branch or environment.",
        why="Without the condition any workflow of GitHub may deploy here.",
        types=(ROLE,),
        check=trust_is_narrow,
    ),
    Rule(
        name="iam-managed",
        asks="No role has AWS's `AdministratorAccess` or a `…FullAccess` policy.",
        why="Least privilege is written down, not borrowed.",
        types=(*ATTACHMENTS, ROLE),
        check=no_broad_attachment,
    ),
    Rule(
        name="iam-no-keys",
        asks="No user of IAM, no access key.",
        why="A key that lasts is found in a log one day.",
        types=LASTING,
        check=no_lasting_keys,
    ),
)
